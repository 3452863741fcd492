//! One fault for each check.

use super::proxy::{Act, Rule, Seen};

pub struct Fault {
    pub check: &'static str,
    pub act: Rule,
}

fn fault(check: &'static str, act: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Fault {
    Fault { check, act: Box::new(act) }
}

/// When a request has a text, does something; else forwards.
fn on(check: &'static str, text: &'static str, act: fn(&Seen) -> Act) -> Fault {
    fault(check, move |seen| if seen.has(text) { act(seen) } else { Act::Forward })
}

/// Replaces a text in every answer.
fn replaced(check: &'static str, from: &'static str, to: &'static str) -> Fault {
    fault(check, move |_| Act::Map(Box::new(move |body| body.replace(from, to))))
}

/// Answers a method with a result.
fn result(check: &'static str, text: &'static str, result: &'static str) -> Fault {
    fault(check, move |seen| if seen.has(text) { Act::Result(result) } else { Act::Forward })
}

/// Answers a method with neither a result nor an error.
fn nothing(check: &'static str, text: &'static str) -> Fault {
    on(check, text, |_| Act::Body("{\"jsonrpc\":\"2.0\",\"id\":ID}\n".into()))
}

const ONE: &str = r#"{"Type":"","Descriptions":[{"ID":"x","LogicalID":null,"Tags":{}}]}"#;
const TWINS: &str = r#"{"Type":"","Descriptions":[{"ID":"x","Tags":{}},{"ID":"x","Tags":{}}]}"#;

pub fn all() -> Vec<Fault> {
    [transport(), envelope(), handshake(), instance(), lifecycle(), flavor(), group(), others()]
        .into_iter()
        .flatten()
        .collect()
}

fn transport() -> Vec<Fault> {
    vec![
        fault("transport.post", |_| Act::Status(500)),
        on("transport.charset", "charset", |_| Act::Status(415)),
        fault("transport.untyped", |seen| {
            if seen.head.contains("ontent-") && !seen.head.contains("Content-Type") {
                Act::Status(415)
            } else {
                Act::Forward
            }
        }),
        on("transport.header-case", "ACCEPT-ENCODING", |_| Act::Status(400)),
        on("transport.other-type", "text/xml", |_| Act::Status(200)),
        on("transport.other-method", "GET / ", |_| Act::Status(200)),
        on("transport.other-path", "no/such/path", |_| Act::Status(200)),
        fault("transport.newline", |_| Act::Map(Box::new(|body| body.trim_end().to_owned()))),
        fault("transport.keep-alive", |_| Act::HangUp),
        fault("transport.pipeline", |_| Act::HangUp),
        on("transport.chunked", "Transfer-Encoding", |_| Act::Status(411)),
        // A request of the kit comes whole, but for this check.
        fault("transport.pieces", |seen| if seen.number > 0 { Act::Close } else { Act::Forward }),
        fault("transport.close", |_| Act::Stay),
        fault("transport.large", |seen| {
            if seen.body.len() > 1 << 20 { Act::Status(413) } else { Act::Forward }
        }),
        fault("transport.oversize", |seen| {
            if seen.body.len() > 2 << 20 { Act::Die } else { Act::Forward }
        }),
        fault("transport.garbage", |seen| if seen.partial { Act::Die } else { Act::Forward }),
        fault("transport.broken-off", |seen| if seen.partial { Act::Die } else { Act::Forward }),
        fault("transport.unread", |seen| if seen.number > 15 { Act::Die } else { Act::Forward }),
        fault("transport.many", |seen| if seen.number > 100 { Act::Close } else { Act::Forward }),
        // The proxy has no pid file.
        fault("transport.pid", |_| Act::Forward),
    ]
}

fn envelope() -> Vec<Fault> {
    let id = |check, map: fn(&str) -> String| {
        fault(check, move |_| {
            Act::Map(Box::new(move |body| match body.rsplit_once("\"id\":") {
                Some((start, id)) => {
                    format!("{start}\"id\":{}}}\n", map(id.trim().trim_end_matches('}')))
                }
                None => body,
            }))
        })
    };
    let speaks = |check| {
        fault(check, |_| {
            Act::Map(Box::new(|body| if body.is_empty() { "{\"result\":{}}".into() } else { body }))
        })
    };
    let said = r#"{"Objects":{}}"#;
    vec![
        replaced("envelope.version", "\"2.0\"", "\"1.0\""),
        id("envelope.id", |_| "5".into()),
        id("envelope.big-id", |id| {
            id.parse::<f64>().map_or_else(|_| id.to_owned(), |float| format!("{float:.0}"))
        }),
        id("envelope.text-id", |id| id.trim_matches('"').replace("abc", "0")),
        replaced("envelope.either", "\"result\":{", "\"error\":{\"message\":\"x\"},\"result\":{"),
        speaks("envelope.no-id"),
        speaks("envelope.null-id"),
        speaks("envelope.batch"),
        result("envelope.unknown-method", "NoSuch", said),
        replaced("envelope.unknown-method-text", "can't find", "there is no"),
        result("envelope.unknown-service", "NoSuch", said),
        replaced("envelope.unknown-service-text", "can't find", "there is no"),
        result("envelope.method-case", "handshake.hello", said),
        result("envelope.ill-formed", "\"Hello\"", said),
        result("envelope.old-version", "\"1.0\"", said),
        fault("envelope.missing-params", |seen| {
            if seen.has("jsonrpc") && !seen.has("params\":{") {
                Act::Error("params")
            } else {
                Act::Forward
            }
        }),
        on("envelope.listed-params", "[{}]", |_| Act::Error("params")),
        on("envelope.unknown-fields", "NoSuchField", |_| Act::Error("unknown field")),
        on("envelope.layout", "\\u0048", |_| Act::Error("can't find method")),
        result("envelope.wrong-params", "\"params\":5", said),
        on("envelope.unparsable", "nonsense", |_| Act::Die),
        fault("envelope.no-request", |seen| if seen.body == "5" { Act::Die } else { Act::Forward }),
        on("envelope.deep", "[[[[[[[[", |_| Act::Die),
    ]
}

fn handshake() -> Vec<Fault> {
    vec![
        on("handshake.hello", "Handshake.Hello", |_| Act::Error("no")),
        result("handshake.keys", "Handshake", r#"{"Objects":{"Instance":[]}}"#),
        result("handshake.known", "Handshake", r#"{"Objects":{"Instance/9.9.9":[{"Name":"."}]}}"#),
        result(
            "handshake.objects",
            "Handshake",
            r#"{"Objects":{"Instance/0.6.1":[{"Name":"a"},{"Name":"a"}]}}"#,
        ),
        fault("handshake.repeats", |seen| {
            if seen.number > 0 { Act::Result(r#"{"Objects":{}}"#) } else { Act::Forward }
        }),
        on("handshake.methods", "Instance.Label", |_| Act::Error("rpc: can't find method")),
        on("info.api", "/info/", |_| Act::Status(404)),
        replaced("info.methods", "Instance.Label", "Instance.Nope"),
        on("info.functions", "/info/", |_| Act::Body("[]".into())),
        result("event.list", "Event.List", r#"{"Nodes":5}"#),
        on("event.stream", "/events", |_| Act::Status(404)),
        on("event.no-block", "/events", |_| Act::Die),
    ]
}

fn instance() -> Vec<Fault> {
    vec![
        on("instance.list", "DescribeInstances", |_| Act::Error("no")),
        result("instance.list-null", "\"Tags\":null", r#"{"Descriptions":null}"#),
        result("instance.ids", "DescribeInstances", TWINS),
        result("instance.no-match", "no-such-tag", ONE),
        result("instance.values", "no-such-value", ONE),
        result("instance.filter", "\"Tags\":{\"infrakit.group\"", r#"{"Descriptions":[]}"#),
        result(
            "instance.no-properties",
            "Describe",
            r#"{"Descriptions":[{"ID":"x","Properties":1}]}"#,
        ),
        fault("instance.parallel", |seen| if seen.number > 30 { Act::Close } else { Act::Forward }),
        on("instance.validate", "Instance.Validate", |_| {
            Act::Also(
                r#"{"jsonrpc":"2.0","method":"Instance.Provision","params":{},"id":1}"#.into(),
            )
        }),
        result("instance.destroy-unknown", "no-such-instance", r#"{"OK":true}"#),
        result("instance.label-unknown", "no-such-instance", r#"{"OK":true}"#),
        result("instance.unknown-type", "nobody", r#"{"Descriptions":null}"#),
        replaced("instance.unknown-type-text", "no-plugin:", "no plugin "),
        replaced("instance.echo", "\"Type\":\"\"", "\"Type\":\"x\""),
        result("instance.field-case", "TAGS", ONE),
    ]
}

fn lifecycle() -> Vec<Fault> {
    let instead = |check, text: &'static str, from: &'static str, to: &'static str| {
        fault(check, move |seen| {
            if seen.has(text) { Act::Instead(seen.body.replace(from, to)) } else { Act::Forward }
        })
    };
    vec![
        on("lifecycle.validate", "Instance.Validate", |_| Act::Error("no")),
        result("lifecycle.visible", "DescribeInstances", r#"{"Descriptions":[]}"#),
        instead("lifecycle.tags", "Provision", r#""a":"b""#, r#""a":"c""#),
        instead("lifecycle.odd-tags", "Provision", "ä", "?"),
        fault("lifecycle.logical-id", |seen| {
            if !seen.has("Provision") {
                return Act::Forward;
            }
            let body = seen.body.replace("LogicalID", "Nothing");
            Act::Instead(body.replace("infrakit.logical_id", "nothing"))
        }),
        instead("lifecycle.filter", "DescribeInstances", r#""y":"3""#, r#""y":"2""#),
        replaced("lifecycle.label", r#""keep":"1","#, ""),
        instead("lifecycle.key", "Provision", "regrow.key", "another.key"),
        result("lifecycle.parallel", "Provision", r#"{"ID":"same"}"#),
        result("lifecycle.destroy", "Instance.Destroy", r#"{"OK":true}"#),
        fault("lifecycle.destroy-twice", |seen| {
            if !seen.has("Instance.Destroy") {
                return Act::Forward;
            }
            Act::Map(Box::new(|body| match body.split_once("\"error\":") {
                Some((start, rest)) => {
                    let id = rest.rsplit_once("\"id\":").map_or("0}", |(_, id)| id);
                    format!("{start}\"result\":{{\"OK\":true}},\"id\":{id}")
                }
                None => body,
            }))
        }),
        on("lifecycle.reasons", "rolling_update", |_| Act::Error("what reason?")),
        result("lifecycle.clean", "Instance.Destroy", r#"{"OK":true}"#),
    ]
}

fn flavor() -> Vec<Fault> {
    vec![
        nothing("flavor.validate", "Flavor.Validate"),
        replaced("flavor.tags", r#""regrow-check":"1""#, r#""regrow-check":"2""#),
        replaced("flavor.properties", r#"{"a":null}"#, r#"{"a":1}"#),
        replaced("flavor.logical-id", r#""LogicalID":"10.0.0.1""#, r#""LogicalID":null"#),
        fault("flavor.repeats", |seen| {
            let tag = format!("\"Tags\":{{\"n{}\":\"\",", seen.number);
            Act::Map(Box::new(move |body| body.replace("\"Tags\":{", &tag)))
        }),
        replaced("flavor.echo", "\"Type\":\"\"", "\"Type\":\"x\""),
        result("flavor.health", "Flavor.Healthy", r#"{"Health":7}"#),
        result("flavor.unknown-type", "nobody", r#"{"OK":true}"#),
    ]
}

fn group() -> Vec<Fault> {
    let members = r#"{"ID":"cattle","Description":{"Instances":[{"ID":"x"},{"ID":"x"}]}}"#;
    vec![
        result("group.inspect", "InspectGroups", r#"{"Groups":[{"ID":"a"},{"ID":"a"}]}"#),
        result("group.describe", "DescribeGroup", members),
        replaced("group.converged", "\"Converged\":true", "\"Other\":true"),
        result("group.size", "Group.Size", r#"{"Size":-1}"#),
        replaced("group.echo", "\"Name\":\"bad\"", "\"Name\":\"x\""),
        result("group.unknown", "Group.Size", r#"{"Size":1}"#),
        result("group.pretend", "\"Pretend\":true", r#"{"Details":"Noop"}"#),
        result("group.refuses", "\"Pretend\":false", r#"{"Details":"Noop"}"#),
    ]
}

fn others() -> Vec<Fault> {
    let describe = "Controller.Describe";
    vec![
        result("metadata.keys", "Metadata.Keys", r#"{"Nodes":["b","a"]}"#),
        on("metadata.get", "Metadata.Get", |_| Act::Error("no")),
        result("metadata.missing", "no/such/path", r#"{"Value":1}"#),
        replaced("metadata.echo", "\"Name\":\"bad\"", "\"Name\":\"x\""),
        result(
            "updatable.changes",
            "Updatable.Changes",
            r#"{"Original":{},"Proposed":{},"Cas":"x"}"#,
        ),
        fault("updatable.no-store", |seen| {
            let cas = format!("\"Cas\":\"{}", seen.number);
            Act::Map(Box::new(move |body| body.replace("\"Cas\":\"", &cas)))
        }),
        result("updatable.compare", "Updatable.Commit", r#"{"Name":""}"#),
        result("controller.describe", describe, r#"{"Objects":[{"kind":""}]}"#),
        replaced("controller.echo", "\"Name\":\"bad\"", "\"Name\":\"x\""),
        nothing("controller.plan", "Controller.Plan"),
        result("controller.unknown", "no-such-object", r#"{"Objects":[{"kind":"x"}]}"#),
        result("names.unknown", "nobody", "{}"),
        result("stack.leader", "IsLeader", r#"{"Leader":"yes"}"#),
        result("stack.location", "LeaderLocation", r#"{"Location":{"Scheme":"http"}}"#),
        result("stack.specs", "Manager.Specs", r#"{"Specs":[{"kind":""}]}"#),
        result("l4.name", "L4.Name", r#"{"Name":""}"#),
        result("l4.routes", "L4.Routes", r#"{"Routes":[{"Port":1},{"Port":2}]}"#),
        result("l4.protocols", "L4.Routes", r#"{"Routes":[{"Protocol":"tcp"}]}"#),
        result("l4.backends", "L4.Backends", r#"{"IDs":["a","a"]}"#),
        nothing("resource.pretend", "Resource."),
    ]
}
