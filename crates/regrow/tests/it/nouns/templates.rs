//! `template`: other forms of data, and templates that come over https.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use crate::support::{Said, World, said};

/// Runs a command with something on its standard input.
fn fed(world: &World, words: &[&str], text: &str) -> Said {
    let mut command = world.command(words);
    let piped = Stdio::piped;
    command.stdin(piped()).stdout(piped()).stderr(piped());
    let mut child = command.spawn().expect("start the program");
    let mut stdin = child.stdin.take().expect("standard input");
    stdin.write_all(text.as_bytes()).expect("write");
    drop(stdin);
    said(&child.wait_with_output().expect("run"))
}

#[test]
fn data_is_turned_into_the_other_form() {
    let world = World::new();
    let (json, yaml) = ("{\n  \"a\": [\n    1,\n    \"b\"\n  ]\n}\n", "a:\n- 1\n- b\n");
    for (form, given, expected) in
        [("json", yaml, json), ("json", json, json), ("yaml", json, yaml), ("yaml", yaml, yaml)]
    {
        let said = fed(&world, &["template", "format", form], given);
        assert_eq!((said.code, &*said.out), (Some(0), expected), "{form} of {given}: {said:?}");
    }
    let said = fed(&world, &["template", "format", "json"], "a: [");
    assert_eq!((said.code, &*said.out), (Some(1), ""));
    assert!(said.err.contains("read standard input as JSON or YAML"), "{said:?}");
}

/// Answers each caller over TLS with the same document; returns its URL and the certificate.
fn document_over_tls(text: &'static str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into());
    let config = Arc::new(config.expect("configuration"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let port = listener.local_addr().expect("address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let session = rustls::ServerConnection::new(config.clone()).expect("session");
            let mut stream = rustls::StreamOwned::new(session, stream.expect("caller"));
            // A caller that does not trust us breaks off.
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            let length = text.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            let _ = stream.write_all(format!("{head}{text}").as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (format!("https://127.0.0.1:{port}/doc.tpl"), made.cert.pem())
}

#[test]
fn templates_come_over_https_from_who_is_trusted() {
    let world = World::new();
    let (url, certificate) = document_over_tls("{{ upper `secure` }}");
    let trusted = world.write("trusted.pem", &certificate);
    let including = format!("str://a {{{{ include `{url}` }}}}");
    let render = |url: &str, trusted: Option<&Path>| {
        let mut command = world.command(&["template", url]);
        if let Some(trusted) = trusted {
            command.env("SSL_CERT_FILE", trusted);
        }
        said(&command.output().expect("run"))
    };
    for (url, expected) in [(&url, "SECURE"), (&including, "a SECURE")] {
        let said = render(url, Some(&trusted));
        assert_eq!((said.code, &*said.out), (Some(0), expected), "{said:?}");
    }
    let said = render(&url, None);
    assert_eq!((said.code, &*said.out), (Some(1), ""));
    assert!(said.err.contains("certificate"), "{said:?}");
}
