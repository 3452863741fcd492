//! Checks over HTTP.

use regrow_ids::chain;
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{Client, Method, RequestBuilder, Response};
use rustls::ClientConfig;

use super::{Finding, OUTPUT_BYTES_MAX};
use crate::model::{CheckDefinition, Status};

/// A client that keeps no connection, since every look shall show that there can be a new one, and
/// that asks the service itself, whatever proxy this process is told to use.
pub(super) fn client(tls: ClientConfig) -> Result<Client, reqwest::Error> {
    Client::builder().tls_backend_preconfigured(tls).no_proxy().pool_max_idle_per_host(0).build()
}

/// Asks.
pub(super) async fn ask(client: &Client, check: &CheckDefinition) -> Finding {
    let asked = match request(client, check) {
        Ok(request) => request.send().await.map_err(|error| chain(&error)),
        Err(reason) => Err(reason),
    };
    match asked {
        Ok(response) => found(method(check), &check.http, response).await,
        Err(reason) => Finding::critical(format!("{} {}: {reason}", method(check), check.http)),
    }
}

fn method(check: &CheckDefinition) -> &str {
    if check.method.is_empty() { "GET" } else { &check.method }
}

fn request(client: &Client, check: &CheckDefinition) -> Result<RequestBuilder, String> {
    let method = Method::from_bytes(method(check).as_bytes())
        .map_err(|error| format!("{error}: {:?}; use one such as GET", check.method))?;
    let request = client.request(method, &check.http).headers(headers(check)?);
    Ok(if check.body.is_empty() { request } else { request.body(check.body.clone()) })
}

/// The headers of the check, and those that Consul sends where the check has none of that name.
fn headers(check: &CheckDefinition) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static("Consul Health Check"));
    headers.insert(ACCEPT, HeaderValue::from_static("text/plain, text/*, */*"));
    for (name, values) in &check.header {
        let key: HeaderName = name.parse().map_err(|error| format!("header {name:?}: {error}"))?;
        headers.remove(&key);
        for value in values {
            let value = value.parse().map_err(|error| format!("value of {name:?}: {error}"))?;
            headers.append(&key, value);
        }
    }
    Ok(headers)
}

/// Every success passes, and one who has too much to do only warns.
fn judge(code: u16) -> Status {
    match code {
        200..=299 => Status::Passing,
        429 => Status::Warning,
        _ => Status::Critical,
    }
}

async fn found(method: &str, url: &str, mut response: Response) -> Finding {
    let code = response.status();
    let mut output = format!("HTTP {method} {url}: {code} Output: ").into_bytes();
    while output.len() < OUTPUT_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(part)) => output.extend_from_slice(&part),
            Ok(None) => break,
            Err(error) => {
                let reason = chain(&error);
                return Finding::critical(format!("HTTP {method} {url}: {code}, then {reason}"));
            }
        }
    }
    Finding::new(judge(code.as_u16()), output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_passes_and_429_warns() {
        for code in 100..600 {
            let expected = match code / 100 {
                2 => Status::Passing,
                _ if code == 429 => Status::Warning,
                _ => Status::Critical,
            };
            assert_eq!(judge(code), expected, "{code}");
        }
    }
}
