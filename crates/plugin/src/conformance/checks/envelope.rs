use serde_json::json;

use crate::conformance::site::{Envelope, Site, envelope, hello_with_id};
use crate::conformance::{Verdict, ensure, fail};

async fn version(site: &Site) -> Verdict {
    let answer = site.envelope(&hello_with_id("1")).await?;
    ensure(answer.jsonrpc == "2.0", || format!("jsonrpc is {:?}", answer.jsonrpc))
}

async fn echoes(site: &Site, ids: &[&str]) -> Verdict {
    for id in ids {
        let answer = site.envelope(&hello_with_id(id)).await?;
        ensure(answer.id.as_text() == *id, || format!("id {id} comes back as {}", answer.id))?;
    }
    Ok(())
}

async fn small_id(site: &Site) -> Verdict {
    echoes(site, &["0", "7", "4242"]).await
}

async fn big_id(site: &Site) -> Verdict {
    // 2^53 + 1, the largest id of Go's client, and one as captured.
    echoes(site, &["9007199254740993", "9223372036854775807", "6664311058255257219"]).await
}

async fn text_id(site: &Site) -> Verdict {
    echoes(site, &[r#""abc""#, r#""1795289934""#]).await
}

async fn result_only(site: &Site) -> Verdict {
    let answer = site.envelope(&hello_with_id("1")).await?;
    ensure(!answer.result.is_null(), || "a success has no result".to_owned())?;
    ensure(answer.error.is_none(), || "a success has an error".to_owned())?;
    let answer = site.call("Handshake.NoSuchMethod", &json!({})).await?;
    ensure(answer.result.is_null(), || "a failure has a result".to_owned())
}

async fn silent(site: &Site, body: &str) -> Verdict {
    let http = site.exchange(&site.post(body)).await?;
    ensure(http.status == 200, || format!("HTTP status {}", http.status))?;
    ensure(http.body.trim_ascii().is_empty(), || format!("it answers {:?}", http.text()))
}

async fn no_id(site: &Site) -> Verdict {
    silent(site, r#"{"jsonrpc":"2.0","method":"Handshake.Hello","params":{}}"#).await
}

async fn null_id(site: &Site) -> Verdict {
    silent(site, &hello_with_id("null")).await
}

async fn batch(site: &Site) -> Verdict {
    silent(site, &format!("[{}]", hello_with_id("1"))).await
}

/// The answer to a body that is a valid envelope but no valid call.
async fn refused(site: &Site, body: &str) -> Verdict<Envelope> {
    let http = site.exchange(&site.post(body)).await?;
    let answer = envelope(&http)?;
    match &answer.error {
        None => fail(format!("it answers {:?} instead of an error", http.text().trim())),
        Some(error) if error.message.is_empty() => fail("the error has no message"),
        Some(_) => Ok(answer),
    }
}

async fn expect_error(site: &Site, body: &str, code: i64, part: &str) -> Verdict {
    let answer = refused(site, body).await?;
    let error = answer.error.unwrap_or_default();
    ensure(error.code == code, || format!("code {} instead of {code}", error.code))?;
    ensure(error.message.contains(part), || {
        format!("the message is {:?}, without {part:?}", error.message)
    })
}

fn with_method(method: &str) -> String {
    hello_with_id("1").replace("Handshake.Hello", method)
}

async fn unknown_method(site: &Site) -> Verdict {
    refused(site, &with_method("Handshake.NoSuchMethod")).await.map(drop)
}

async fn unknown_method_text(site: &Site) -> Verdict {
    expect_error(site, &with_method("Handshake.NoSuch"), -32000, "can't find method").await
}

async fn unknown_service(site: &Site) -> Verdict {
    refused(site, &with_method("NoSuchService.Hello")).await.map(drop)
}

async fn unknown_service_text(site: &Site) -> Verdict {
    expect_error(site, &with_method("NoSuchService.Hello"), -32000, "can't find service").await
}

async fn method_case(site: &Site) -> Verdict {
    refused(site, &with_method("handshake.hello")).await.map(drop)
}

async fn ill_formed(site: &Site) -> Verdict {
    refused(site, &with_method("Hello")).await.map(drop)
}

async fn old_version(site: &Site) -> Verdict {
    let body = hello_with_id("1").replace("2.0", "1.0");
    expect_error(site, &body, -32600, "jsonrpc must be 2.0").await
}

async fn accepted(site: &Site, params: &[&str]) -> Verdict {
    for params in params {
        let body = format!(r#"{{"jsonrpc":"2.0","method":"Handshake.Hello"{params},"id":1}}"#);
        let answer = site.envelope(&body).await?;
        ensure(answer.error.is_none() && !answer.result.is_null(), || {
            let error = answer.error.unwrap_or_default();
            format!("{body} is refused: {:?}", error.message)
        })?;
    }
    Ok(())
}

async fn missing_params(site: &Site) -> Verdict {
    accepted(site, &["", r#","params":null"#]).await
}

async fn listed_params(site: &Site) -> Verdict {
    accepted(site, &[r#","params":[{}]"#]).await
}

async fn unknown_fields(site: &Site) -> Verdict {
    accepted(site, &[r#","params":{"NoSuchField":[1,{"a":null}]},"other":true"#]).await
}

async fn field_order(site: &Site) -> Verdict {
    let answer = site
        .envelope(
            r#" { "id" : 1 , "params" : {} ,"method":"Handshake.\u0048ello","jsonrpc":"2.0"}"#,
        )
        .await?;
    ensure(!answer.result.is_null(), || "white space, order or escapes confuse it".to_owned())
}

async fn wrong_params(site: &Site) -> Verdict {
    for params in [r#""text""#, "5"] {
        let body =
            format!(r#"{{"jsonrpc":"2.0","method":"Handshake.Hello","params":{params},"id":1}}"#);
        refused(site, &body).await?;
    }
    Ok(())
}

/// Nothing, or an error without a result.
async fn tolerates(site: &Site, body: &[u8], what: &str) -> Verdict {
    let headers = ["Content-Type: application/json"];
    let mut connection = site.connect().await?;
    connection.send(&site.request("POST", "", &headers, body)).await?;
    let http = connection.answer().await?;
    if http.status == 200 && !http.body.trim_ascii().is_empty() {
        let answer = envelope(&http)?;
        ensure(answer.error.is_some() && answer.result.is_null(), || {
            format!("it answers {what} with a result")
        })?;
    }
    ensure(http.status < 500, || format!("HTTP status {}", http.status))?;
    site.still_well(what).await
}

async fn unparsable(site: &Site) -> Verdict {
    for body in [&b"{"[..], b"nonsense", b"", b"\xff\xfe\xfd"] {
        tolerates(site, body, "a body that is no JSON").await?;
    }
    Ok(())
}

async fn scalars(site: &Site) -> Verdict {
    for body in [&b"5"[..], b"\"text\"", b"null", b"{}", br#"{"id":1}"#, br#"{"method":7,"id":1}"#]
    {
        tolerates(site, body, "JSON that is no request").await?;
    }
    Ok(())
}

async fn deep(site: &Site) -> Verdict {
    const LEVELS: usize = 100_000;
    let deep = "[".repeat(LEVELS) + &"]".repeat(LEVELS);
    let body = hello_with_id("1").replace("{}", &format!("{{\"X\":{deep}}}"));
    // Reading over an unknown field is as good as refusing it.
    let mut connection = site.connect().await?;
    connection.send(&site.post(&body)).await?;
    let http = connection.answer().await?;
    ensure(http.status < 500, || format!("HTTP status {}", http.status))?;
    site.still_well("100,000 nested lists").await
}

super::checks! {
    "envelope.version" Must "says jsonrpc 2.0" = version;
    "envelope.id" Must "returns the id" = small_id;
    "envelope.big-id" Must "returns ids above 2^53 exactly" = big_id;
    "envelope.text-id" Must "returns ids that are texts" = text_id;
    "envelope.either" Must "answers with a result or an error, not both" = result_only;
    "envelope.no-id" Should "says nothing to a call without an id" = no_id;
    "envelope.null-id" Should "says nothing to a call with id null" = null_id;
    "envelope.batch" Should "says nothing to a batch" = batch;
    "envelope.unknown-method" Must "refuses an unknown method" = unknown_method;
    "envelope.unknown-method-text" Should "names an unknown method as InfraKit does" = unknown_method_text;
    "envelope.unknown-service" Must "refuses an unknown service" = unknown_service;
    "envelope.unknown-service-text" Should "names an unknown service as InfraKit does" = unknown_service_text;
    "envelope.method-case" Should "tells method names apart by case" = method_case;
    "envelope.ill-formed" Must "refuses a method without a dot" = ill_formed;
    "envelope.old-version" Should "refuses jsonrpc 1.0" = old_version;
    "envelope.missing-params" Must "accepts missing and null params" = missing_params;
    "envelope.listed-params" Should "accepts params in a list" = listed_params;
    "envelope.unknown-fields" Must "ignores unknown fields" = unknown_fields;
    "envelope.layout" Must "reads JSON in any layout" = field_order;
    "envelope.wrong-params" Should "refuses params that are no object" = wrong_params;
    "envelope.unparsable" Must "survives bodies that are no JSON" = unparsable;
    "envelope.no-request" Must "survives JSON that is no request" = scalars within 6;
    "envelope.deep" Must "survives 100,000 nested lists" = deep;
}
