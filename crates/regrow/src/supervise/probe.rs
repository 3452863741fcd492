//! Probes of jobs, asked as the catalog asks its own checks.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use regrow_catalog::checks::Looks;
use regrow_catalog::model::{CheckDefinition, Status};
use regrow_supervise::config::Probe;
use regrow_supervise::probe::Prober;

/// How applications see in their logs who asks; a header of the probe's own goes before it.
const AGENT: (&str, &str) = ("User-Agent", "regrow supervise");

/// Asks probes. Prepares nothing before it is asked for the first time.
#[derive(Default)]
pub struct Asker {
    looks: Looks,
}

#[async_trait]
impl Prober for Asker {
    async fn probe(&self, probe: &Probe, timeout: Duration) -> Result<(), String> {
        match self.looks.look(&definition(probe, timeout)).await {
            (Status::Passing, _) => Ok(()),
            (_, output) => Err(output),
        }
    }
}

fn definition(probe: &Probe, timeout: Duration) -> CheckDefinition {
    let of = CheckDefinition { timeout: Some(timeout), ..CheckDefinition::default() };
    match probe {
        Probe::Http { url, method, headers, insecure } => CheckDefinition {
            http: url.clone(),
            method: method.clone(),
            header: header(headers),
            tls_skip_verify: *insecure,
            ..of
        },
        Probe::Tcp(address) => CheckDefinition { tcp: address.clone(), ..of },
        Probe::Grpc { address, service, tls } => {
            let grpc = match service.as_str() {
                "" => address.clone(),
                service => format!("{address}/{service}"),
            };
            CheckDefinition { grpc, grpc_use_tls: *tls, ..of }
        }
    }
}

fn header(headers: &[(String, String)]) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::<String, Vec<String>>::new();
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(AGENT.0)) {
        all.insert(AGENT.0.to_owned(), vec![AGENT.1.to_owned()]);
    }
    for (name, value) in headers {
        all.entry(name.clone()).or_default().push(value.clone());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Longer than anything takes here.
    const WITHIN: Duration = Duration::from_secs(40);

    async fn ask(probe: Probe) -> Result<(), String> {
        Asker::default().probe(&probe, WITHIN).await
    }

    /// Answers every request with this status; its address.
    async fn server(status: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address").to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap_or(0);
                let asked = String::from_utf8_lossy(&request[..read]).to_lowercase();
                let status = if asked.contains("x-test: yes") { "204 No Content" } else { status };
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    fn http(address: &str, headers: &[(&str, &str)]) -> Probe {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Probe::Http {
            url: format!("http://{address}/health"),
            method: "GET".into(),
            headers: headers.iter().map(own).collect(),
            insecure: false,
        }
    }

    #[tokio::test]
    async fn http_passes_on_success_and_says_what_else_came() {
        let (good, bad) = (server("200 OK").await, server("503 Service Unavailable").await);
        assert_eq!(ask(http(&good, &[])).await, Ok(()));
        let said = ask(http(&bad, &[])).await.expect_err("it is out of order");
        assert!(said.contains("503"), "{said}");
        assert_eq!(ask(http(&bad, &[("X-Test", "yes")])).await, Ok(()), "its headers are sent");
    }

    #[tokio::test]
    async fn tcp_passes_when_somebody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address").to_string();
        assert_eq!(ask(Probe::Tcp(address.clone())).await, Ok(()));
        drop(listener);
        let said = ask(Probe::Tcp(address)).await.expect_err("nobody listens");
        assert!(said.contains("refused"), "{said}");
    }

    #[test]
    fn grpc_names_its_service() {
        let grpc = |service: &str| {
            let address = "127.0.0.1:50051".to_owned();
            let probe = Probe::Grpc { address, service: service.into(), tls: true };
            definition(&probe, WITHIN)
        };
        assert_eq!(grpc("").grpc, "127.0.0.1:50051");
        assert_eq!(grpc("db").grpc, "127.0.0.1:50051/db");
        assert!(grpc("db").grpc_use_tls);
    }
}
