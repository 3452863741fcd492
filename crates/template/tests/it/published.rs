//! Documents built from the same features as InfraKit's published examples: a cluster of groups
//! that sources shared variables, an init script of the swarm flavor, and callables.

use crate::support::BASE;
use regrow_template::{
    Args, FetchError, Fetcher, Function, Headers, MetadataLookup, Options, Template, Value,
};
use serde_json::{Value as Json, json};
use std::sync::Arc;

struct Files(&'static [(&'static str, &'static str)]);

impl Fetcher for Files {
    fn fetch(&self, url: &str, _: &Headers, _: u64) -> Result<Vec<u8>, FetchError> {
        let found = self.0.iter().find(|(name, _)| url == format!("http://site/{name}"));
        let found = found.ok_or_else(|| FetchError::Request(format!("no {url}")))?;
        Ok(found.1.as_bytes().to_vec())
    }
}

struct Vars;

impl MetadataLookup for Vars {
    fn get(&self, path: &str) -> Result<Option<Json>, String> {
        Ok(match path {
            "vars" => Some(json!(["cluster"])),
            "vars/cluster/provider" => Some(json!("cloud")),
            "vars/cluster/name" => Some(json!("demo")),
            "vars/cluster/size" => Some(json!(5)),
            "group/vars/price" => Some(json!(0.25)),
            _ => None,
        })
    }
}

const CLUSTER: &[(&str, &str)] = &[
    (
        "groups.json",
        r#"{{/*
  Two groups.
*/}}
{{ source "common.ikt" }} {{/* variables */}}
{{ $ips := var `/ips` }}
{{ $workers := sub (var `/size`) (len $ips) }}
{{ $init := cat (var `/root`) `/init.sh` | nospace }}
{{ $mine := include (cat (var `/provider`) `/groups.json` | nospace) | jsonDecode }}
[
  {"ID": "managers", "Allocation": {"LogicalIDs": {{ $ips | jsonEncode }}},
   "Attach": {"{{index $ips 0}}": [], "{{index $ips 1}}": []},
   "Init": "{{ $init }}", "Instance": {{ $mine.Managers | jsonEncode }}},
  {"ID": "workers", "Allocation": {"Size": {{ $workers }}}, "Instance": {{ $mine.Workers | jsonEncode }}}
]"#,
    ),
    (
        "common.ikt",
        r#"{{ if empty (var `/labels`) }}{{ var `/labels` (jsonDecode `[]`) }}{{end}}
{{ var "/ips" (tuple "10.0.0.1" "10.0.0.2") }}
{{ if metadata `vars` }}
{{ var `/provider` ( metadata `vars/cluster/provider` ) }}
{{ var `/name`     ( metadata `vars/cluster/name` )}}
{{ var `/size`     ( metadata `vars/cluster/size` )}}
{{ end }}
{{ var `/install` (var `vars/provider/none` | default `no` | eq `no` ) }}
{{ var `/root` "http://site" }}"#,
    ),
    (
        "cloud/groups.json",
        r#"{"Managers": {{ include "manager.json" }}, "Workers": {"Type": "small"}}"#,
    ),
    (
        "cloud/manager.json",
        r#"{
  {{ if gt (metadata `group/vars/price` | default 0.) 0. }}
  "Plugin": "spot", "Price": "{{ metadata `group/vars/price` }}",
  {{ else }}
  "Plugin": "plain",
  {{ end }}
  "Name": "{{ var `/name` }}-manager", "Arn": "{{ (metadata `iam`).Arn }}", "Ip": null {{/* later */}}
}"#,
    ),
];

#[test]
fn a_cluster_of_groups() {
    let options = Options { fetcher: Arc::new(Files(CLUSTER)), ..Options::default() };
    let template = Template::from_url("http://site/groups.json", &options).unwrap();
    let rendered = template.metadata(Arc::new(Vars)).render(&json!(null));
    let rendered = rendered.unwrap_or_else(|error| panic!("{}", error.report()));
    let parsed: Json = serde_json::from_str(&rendered.text).unwrap();
    let instance = json!({"Plugin": "spot", "Price": "0.25", "Name": "demo-manager", "Arn": "<no value>", "Ip": null});
    assert_eq!(
        parsed,
        json!([
            {"ID": "managers", "Allocation": {"LogicalIDs": ["10.0.0.1", "10.0.0.2"]},
             "Attach": {"10.0.0.1": [], "10.0.0.2": []}, "Init": "http://site/init.sh", "Instance": instance},
            {"ID": "workers", "Allocation": {"Size": 3}, "Instance": {"Type": "small"}},
        ])
    );
    // A text that is not resolved yet is not empty, so the default does not apply in pass one.
    assert_eq!(rendered.vars["/install"], json!(false));
    assert_eq!(rendered.vars["/size"], json!(5));
}

fn constant(name: &str, value: Value) -> Function {
    Function::new(name, "func() interface {}", "A constant.", move |_, _| Ok(value.clone()))
}

#[test]
fn an_init_script_of_a_flavor() {
    let text = r##"#!/bin/sh
{{/* Install */}}
{{ include "install.sh" }}
{{ var "/ready" (ne 0 INDEX.Sequence) }}{{ var "/labels" INFRAKIT_LABELS }}
cat << EOF > /etc/docker/daemon.json
{"labels": {{ INFRAKIT_LABELS | jsonEncode }}}
EOF
{{ if eq INSTANCE_LOGICAL_ID SPEC.SwarmJoinIP }}
docker swarm init --advertise-addr {{ INSTANCE_LOGICAL_ID }}
echo "\"-H unix:///x\"" {{ if not SWARM_INITIALIZED }}first{{ end }}
{{- else }}
docker swarm join --token {{ SWARM_JOIN_TOKENS.Manager }} {{ SPEC.SwarmJoinIP }}:2377
{{- end }}
"##;
    let render = |id: &str| {
        let files = Files(&[("install.sh", "apt-get install docker {{ SPEC.SwarmJoinIP }}")]);
        let options = Options { fetcher: Arc::new(files), ..Options::default() };
        let functions = vec![
            constant("SPEC", Value::map([("SwarmJoinIP", Value::from("10.0.0.1"))])),
            constant("INSTANCE_LOGICAL_ID", Value::from(id)),
            constant("INDEX", Value::map([("Sequence", Value::Int(0))])),
            constant("SWARM_INITIALIZED", Value::Bool(false)),
            constant("SWARM_JOIN_TOKENS", Value::map([("Manager", Value::from("tok"))])),
            constant("INFRAKIT_LABELS", Value::list([Value::from("infrakit=a<b")])),
        ];
        let template = Template::from_text(text, "http://site/init.sh", &options);
        template.functions("flavor", functions).render(&json!(null)).unwrap().text
    };
    let head = "#!/bin/sh\n\napt-get install docker 10.0.0.1\n\ncat << EOF > /etc/docker/daemon.json\n\
                {\"labels\": [\n  \"infrakit=a\\u003cb\"\n]}\nEOF\n";
    assert_eq!(
        render("10.0.0.1"),
        format!(
            "{head}\ndocker swarm init --advertise-addr 10.0.0.1\necho \"\\\"-H unix:///x\\\"\" first\n"
        )
    );
    assert_eq!(
        render("10.0.0.2"),
        format!("{head}\ndocker swarm join --token tok 10.0.0.1:2377\n")
    );
}

/// What a program with a command line adds: here flags give their default and prompts theirs.
fn answer(args: &Args<'_>, default: usize) -> Value {
    let piped = args.values().last().filter(|value| value.is_true());
    args.rest(default).first().or(piped).cloned().unwrap_or_default()
}

const CALLABLE: &str = r#"# Starts a pool
{{/* =% instanceProvision "az1/compute" true  %= */}}
{{ $user := flag "user" "string" "owner" | prompt "Owner?" "string" "root" nil }}
{{ $count := param "count" "int" "Count" | prompt "How many?" "int" 50 }}
# image  {{ $image := cat "file://" $user "/" "kernel" | nospace }}
BufferSize: {{ mul $count 10 | add 1024 }} # capacity
User: {{ $user }}
Image: {{ $image }}
KeySelector: \{\{.Tags.name\}\}
Created: {{ now | htmlDate | len }}
"#;

#[test]
fn a_callable_in_both_roles() {
    let options = Options::default();
    let prompts = || {
        let signature = "func(string, string, ...interface {}) interface {}";
        let function = |name: &str, default: usize| {
            Function::new(name, signature, "Asks.", move |_, args| Ok(answer(args, default)))
        };
        vec![function("flag", 3), function("param", 3), function("prompt", 2)]
    };
    let template = Template::from_text(CALLABLE, BASE, &options).functions("flags", prompts());
    let text = template.render(&json!(null)).unwrap().text;
    assert_eq!(
        text,
        "# Starts a pool\n\n\n\n# image  \nBufferSize: 1524 # capacity\nUser: root\nImage: file://root/kernel\n\
         KeySelector: \\{\\{.Tags.name\\}\\}\nCreated: 10\n"
    );
    let delimiters = ("=%".to_owned(), "%=".to_owned());
    let signature = "func(string, bool) string";
    let backend = Function::new("instanceProvision", signature, "Backend.", |_, args| {
        Ok(Value::from(format!("{} {}", args.text(0)?, args.flag(1)?)))
    });
    let options = Options { delimiters, ..options };
    let template =
        Template::from_text(CALLABLE, BASE, &options).functions("backends", vec![backend]);
    let text = template.render(&json!(null)).unwrap().text;
    let line = "=% instanceProvision \"az1/compute\" true  %=";
    assert_eq!(text, CALLABLE.replace(line, "az1/compute true"));
}
