//! Random requests: whatever comes in, the server answers and lives (P1).

use std::path::Path;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use regrow_plugin::spi::Interface;
use regrow_plugin::wire::methods;
use tokio::net::UnixStream;

use crate::conformance::world;
use crate::support::{directory, post, read_answer, start};

/// Requests for each test.
const CASES: u32 = 300;

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| serde_json::json!(value).to_string()),
        "[a-zA-Z./ ]{0,8}".prop_map(|text| format!("{text:?}")),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let field = prop_oneof![
            Just("Type"),
            Just("Name"),
            Just("Spec"),
            Just("Properties"),
            Just("Tags"),
            Just("Instance"),
            Just("ID"),
            Just("metadata"),
            Just("Path"),
            Just("Changes"),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((field, inner), 0..5).prop_map(|fields| {
                let fields: Vec<_> =
                    fields.into_iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    })
}

fn method() -> impl Strategy<Value = &'static str> {
    let all: Vec<_> = Interface::ALL
        .into_iter()
        .flat_map(|interface| methods(interface).iter().map(|row| row.method()))
        .collect();
    prop::sample::select(all)
}

async fn ask(path: &Path, body: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(path).await.expect("connect");
    tokio::io::AsyncWriteExt::write_all(&mut stream, &post(body)).await.expect("write");
    let answer = read_answer(&mut stream).await;
    (answer.status, answer.body)
}

fn with_world(test: impl AsyncFnOnce(&Path, &mut TestRunner)) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let dir = directory();
        let _running = start(world::plugin("world"), dir.path()).await;
        let seed: u64 = match std::env::var("REGROW_SEED") {
            Ok(seed) => seed.parse().expect("REGROW_SEED is a number"),
            Err(_) => rand::random(),
        };
        println!("REGROW_SEED={seed}");
        let bytes = [seed.to_le_bytes(); 4].concat();
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        test(&dir.path().join("world"), &mut runner).await;
    });
}

fn draw<S: Strategy>(strategy: &S, runner: &mut TestRunner) -> S::Value {
    strategy.new_tree(runner).expect("a value").current()
}

#[test]
fn any_params_are_answered() {
    with_world(async |path, runner| {
        let strategy = (method(), json());
        for _ in 0..CASES {
            let (method, params) = draw(&strategy, runner);
            let body =
                format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params},"id":7}}"#);
            let (status, answer) = ask(path, &body).await;
            assert_eq!(status, 200, "{body}");
            let answer: serde_json::Value = serde_json::from_str(&answer).expect(&body);
            assert_eq!(answer["id"], 7, "{body}");
            assert_ne!(answer.get("result").is_some(), answer.get("error").is_some(), "{body}");
            let text = answer["error"]["message"].as_str().unwrap_or("x");
            assert!(!text.is_empty() && !text.contains("panicked"), "{body}: {text}");
        }
    });
}

#[test]
fn any_body_is_answered() {
    with_world(async |path, runner| {
        let strategy = prop_oneof![".{0,200}", json()];
        for _ in 0..CASES {
            let body = draw(&strategy, runner);
            let (status, answer) = ask(path, &body).await;
            assert_eq!(status, 200, "{body}");
            assert!(answer.is_empty() || answer.contains("error"), "{body}: {answer}");
        }
    });
}
