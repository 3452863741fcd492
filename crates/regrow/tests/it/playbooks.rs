//! Callables: how their flags, prompts and parts behave, and where their scripts go.

use crate::support::World;

/// A world with one playbook of callables, by name and text.
fn book(callables: &[(&str, &str)]) -> World {
    let world = World::new();
    let lines = callables.iter().map(|(name, _)| format!("{name}: {name}.ikt\n"));
    let index = world.write("book/index.yml", &lines.collect::<String>()).display().to_string();
    for (name, text) in callables {
        world.write(&format!("book/{name}.ikt"), text);
    }
    world.ok(&["playbook", "add", "book", &index]);
    world
}

fn words<'a>(name: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [&["use", "book", name], rest].concat()
}

#[test]
fn indexes_are_templates_of_any_name_with_a_help_beside_them() {
    let world = World::new();
    let index = world.write(
        "pb/index.ikb",
        "{{/* what there is */}}\n# begins\nstart : start.ikt\nevents : {{ `events` }}/index.ikb\n",
    );
    world.write("pb/README.md", "Starts {{ `all` | upper }}.\n\n");
    world.write("pb/start.ikt", "{{/* =% print %= */}}{{ flag `n` `int` `how many` 1 }}");
    world.write("pb/events/index.ikb", "ls : ls.ikt\n");
    world.write("pb/events/README.md", "Use {{ as it is.\n");
    world.write("pb/events/ls.ikt", "{{/* =% print %= */}}listed\n");
    let index = index.display().to_string();
    world.ok(&["playbook", "add", "intro", &format!("file://{index}")]);
    world.ok(&["playbook", "add", "plain", &index]);
    for name in ["intro", "plain"] {
        assert_eq!(world.ok(&["use", name, "start", "--n", "2"]), "2");
        assert_eq!(world.ok(&["use", name, "events", "ls"]), "listed\n");
        let top = format!("Starts ALL.\n\noperations of {name}:\n  events\n  start\n");
        for words in [&["use", name, "-h"][..], &["use", name, "--help"], &["use", name]] {
            assert_eq!(world.ok(words), top, "{words:?}");
        }
        let below = format!("Use {{{{ as it is.\n\noperations of {name}:\n  ls\n");
        assert_eq!(world.ok(&["use", name, "events", "-h"]), below);
        assert!(world.ok(&["use", name, "start", "-h"]).contains("how many"));
    }
    let all = world.ok(&["use", "-h"]);
    assert!(all.contains("  intro\n  plain\n"), "{all}");
    assert!(World::new().ok(&["use", "--help"]).contains("playbook add"));
}

#[test]
fn copies_are_used_until_they_are_made_anew() {
    let world = World::new();
    let index = world.write("pb/index.yml", "say: say.ikt\nmore: more/index.yml\n");
    world.write("pb/more/index.yml", "shout: shout.ikt\n");
    world.write("pb/more/README.md", "Louder.\n");
    world.write("pb/more/shout.ikt", "{{/* =% print %= */}}HELLO\n");
    let part = world.write("pb/part.txt", "first");
    world.write("pb/say.ikt", "{{/* =% print %= */}}{{ fetch `part.txt` }}\n");
    let url = format!("file://{}", index.display());
    world.ok(&["playbook", "add", "book", &url, "--cache"]);
    assert_eq!(world.ok(&["use", "book", "say"]), "first\n");
    // The part was not known before it was used; all else was.
    let (home, away) = (world.path().join("pb"), world.path().join("away"));
    std::fs::rename(&home, &away).expect("away");
    let all = |said: &str| {
        assert_eq!(world.ok(&["use", "book", "say"]), said);
        assert_eq!(world.ok(&["use", "book", "more", "shout"]), "HELLO\n");
        assert!(world.ok(&["use", "book", "more"]).starts_with("Louder.\n"));
    };
    all("first\n");
    let fault = world.fails(&["playbook", "update", "book"]);
    assert!(fault.contains("index.yml"), "{fault}");
    all("first\n");
    std::fs::rename(&away, &home).expect("back");
    std::fs::write(&part, "second").expect("write");
    all("first\n");
    assert_eq!(world.ok(&["playbook", "update", "book"]), "updated book\n");
    all("second\n");
    // A copy goes with its playbook, and what others put beside it stays.
    let listed = world.ok(&["playbook", "ls", "-q"]);
    let copies = std::path::PathBuf::from(listed.split_whitespace().last().expect("a folder"));
    std::fs::write(copies.join("notes"), "mine").expect("write");
    world.ok(&["playbook", "rm", "book"]);
    assert_eq!(std::fs::read_dir(&copies).expect("list").count(), 1);
}

#[test]
fn a_part_that_cannot_be_had_is_left_out_with_a_warning() {
    let world = book(&[
        (
            "look",
            "{{/* =% sh %= */}}{{ $home := include `gone.yml` | yamlDecode }}\
             {{ $token := flag `token` `string` `t` | prompt `T?` `string` (index $home `token` | default `none`) }}\
             echo {{ $token }}[{{ fetch `gone.txt` }}][{{ include `bad.tpl` }}]\n",
        ),
        ("commit", "{{/* =% stackEnforce %= */}}{{ include `gone.yml` }}"),
        ("source", "{{/* =% print %= */}}{{ source `gone.yml` }}"),
        ("circle", "{{/* =% print %= */}}{{ include `circle.ikt` }}{{ include `circle.ikt` }}"),
    ]);
    world.write(
        "book/bad.tpl",
        "{{ range loop 2 }}{{ if true }}{{ var `a` | fail }}{{ end }}{{ end }}",
    );
    let run = |name| world.run(&words(name, &["--accept-defaults"]));
    let done = run("look");
    assert_eq!((done.code, done.out.as_str()), (Some(0), "none[][{}]\n"), "{done:?}");
    for part in ["include \"gone.yml\"", "fetch \"gone.txt\"", "bad.tpl:1", "WARN"] {
        assert!(done.err.contains(part), "{part}: {done:?}");
    }
    for (name, part) in
        [("commit", "gone.yml"), ("source", "gone.yml"), ("circle", "include each other")]
    {
        let fault = world.fails(&words(name, &[]));
        assert!(fault.contains(part) && !fault.contains("WARN"), "{fault}");
    }
}

#[test]
fn flags_behind_an_include_are_learnt() {
    let world = book(&[(
        "part",
        "{{/* =% print %= */}}{{ $at := flag `at` `string` `folder` }}{{ include (cat $at `/x.tpl` | nospace) }}\
         {{ fetch (cat $at `/x.tpl` | nospace) }}{{ flag `who` `string` `whom` `you` }}",
    )]);
    world.write("book/there/x.tpl", "{{ `in` | upper }} ");
    let help = world.ok(&words("part", &["--help"]));
    assert!(help.contains("--at") && help.contains("--who"), "{help}");
    let done = world.ok(&words("part", &["--at", "there", "--who", "me"]));
    assert_eq!(done, "IN {{ `in` | upper }} me");
}

#[test]
fn an_empty_text_is_no_answer() {
    let world = book(&[(
        "ask",
        "{{/* =% print %= */}}{{ flag `a` `string` `a` `` | prompt `A?` `string` `usual` }},\
         {{ flag `b` `string` `b` | prompt `B?` `string` `usual` }},\
         {{ flag `c` `string` `c` `` | prompt `C?` `string` }},\
         {{ flag `d` `int` `d` | prompt `D?` `int` 7 }},\
         {{ flag `e` `string` `e` `` | cond false | prompt `E?` `string` `usual` }},\
         {{ flag `f` `string` `f` `` | cond `yes` | prompt `F?` `string` `usual` }},\
         {{ listflag `g` `string` `g` | listprompt `G?` `string` `x,y` | join `+` }}",
    )]);
    assert_eq!(world.ok(&words("ask", &[])), "usual,usual,,7,,usual,x+y");
    assert_eq!(world.ok(&words("ask", &["--a", "", "--b", ""])), "usual,usual,,7,,usual,x+y");
    let given = ["--a", "1", "--b", "2", "--c", "3", "--d", "0", "--e", "5", "--g", "p,q"];
    assert_eq!(world.ok(&words("ask", &given)), "1,2,3,0,5,usual,p+q");
}

#[test]
fn a_question_that_nobody_answers_ends_the_run_unless_it_has_a_default() {
    let world = book(&[(
        "ami",
        "{{/* =% print %= */}}[{{ flag `image` `string` `i` | prompt `AMI?` `string` }}]\
         [{{ flag `start` `bool` `s` | prompt `Start?` `bool` `no` }}]",
    )]);
    for rest in [&[][..], &["--accept-defaults"]] {
        let fault = world.fails(&words("ami", rest));
        assert!(fault.contains("AMI?: it has no default"), "{fault}");
    }
    assert_eq!(world.ok(&words("ami", &["--image", ""])), "[][false]");
    assert_eq!(world.ok(&words("ami", &["--image", "a", "--start", "1"])), "[a][true]");
    assert_eq!(world.ok(&words("ami", &["--image", "a", "--start", "no"])), "[a][false]");
}

/// A program `ssh` in front of the others: it writes down how it was called and runs the command
/// that it was given, as a host would.
fn fake_ssh(world: &World) -> String {
    let program = world.write(
        "bin/ssh",
        "#!/bin/sh\necho \"$@\" >> \"$HOME/calls\"\nfor word; do shift; [ \"$word\" = -- ] && break; done\n\
         host=$1; shift\n[ \"$host\" = gone ] && { echo 'no such host' >&2; exit 255; }\nexec \"$@\"\n",
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(program, mode).expect("mode");
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{}:{path}", world.path().join("bin").display())
}

#[test]
fn scripts_run_on_other_hosts_through_ssh() {
    let world = book(&[(
        "there",
        "{{/* =% ssh --hostport one:2222,localhost --user ann first %= */}}echo $1 $0 {{ flag `n` `int` `n` 1 }}\n",
    )]);
    let path = fake_ssh(&world);
    let run = |rest: &[&str]| {
        let mut command = world.command(&words("there", rest));
        crate::support::said(&command.env("PATH", &path).output().expect("run"))
    };
    // As InfraKit's does, the shell takes the words of the line as its own arguments.
    world.write("first", "read line; echo \"ran $line\"");
    let done = run(&["--n", "5"]);
    assert_eq!(done.out, "ran echo $1 $0 5\nran echo $1 $0 5\n", "{done:?}");
    let calls = || std::fs::read_to_string(world.path().join("calls")).unwrap_or_default();
    let options = "-o BatchMode=yes -T -o ConnectTimeout=10";
    assert_eq!(calls(), format!("{options} -p 2222 -l ann -- one /bin/sh first\n"));
    let done = run(&["--target", "gone,two", "--ssh-keyfile", "key:bob", "--ssh-user", "eve"]);
    assert_eq!((done.code, done.out.as_str()), (Some(1), "ran echo $1 $0 1\n"), "{done:?}");
    assert!(
        done.err.contains("no such host") && done.err.contains("the shell on gone"),
        "{done:?}"
    );
    assert!(calls().ends_with(&format!("{options} -i key:bob -l eve -- two /bin/sh first\n")));
    for refused in ["--ssh-password=x", "--target=-oX"] {
        assert_eq!(run(&[refused]).code, Some(1), "{refused:?}");
    }
    assert_eq!(run(&["--test"]).out, "would run with ssh:\necho $1 $0 1\n");
}

/// Takes one request and answers it; gives what was asked.
fn answer_once(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
    let url = format!("http://{}/x", listener.local_addr().expect("address"));
    let asked = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("client");
        client.set_read_timeout(Some(crate::support::PATIENCE)).expect("time limit");
        let (mut text, mut piece) = (String::new(), [0; 4096]);
        while !text.ends_with("END") {
            let read = client.read(&mut piece).expect("read");
            assert!(read > 0, "it ended early: {text}");
            text.push_str(&String::from_utf8_lossy(&piece[..read]));
            if text.starts_with("GET") && text.ends_with("\r\n\r\n") {
                break;
            }
        }
        client.write_all(answer.as_bytes()).expect("answer");
        text
    });
    (url, asked)
}

#[test]
fn scripts_are_sent_over_http() {
    let world = book(&[
        ("post", "{{/* =% http \"PUT\" \"http://127.0.0.1:9/\" \"X-A=a b\" X-B=b %= */}}body END"),
        ("bare", "{{/* =% http %= */}}body END"),
        (
            "asked",
            "{{ var `to` (flag `to` `string` `where`) }}{{ $kind := flag `kind` `string` `kind` }}\
             {{ var `kind` (cat `X-Kind=` $kind | nospace) }}\
             {{/* =% http `put` (var `to`) (var `kind`) (flag `more` `string` `header` `X-More=1`) %= */}}body END",
        ),
    ]);
    let (url, asked) = answer_once("HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nmade\n");
    let done = world.ok(&words("post", &["--http-url", &url, "--http-header", "x-b=c"]));
    assert_eq!(done, "made\n");
    let asked = asked.join().expect("asked").to_lowercase();
    assert!(asked.starts_with("put /x http/1.1\r\n"), "{asked}");
    for part in ["\r\nx-a: a b\r\n", "\r\nx-b: c\r\n", "\r\n\r\nbody end"] {
        assert!(asked.contains(part), "{part:?} in {asked}");
    }
    let (url, asked) = answer_once("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    world.ok(&words("asked", &["--to", &url, "--kind", "a"]));
    let asked = asked.join().expect("asked").to_lowercase();
    assert!(asked.starts_with("put /x http/1.1\r\n"), "{asked}");
    assert!(asked.contains("\r\nx-kind: a\r\n") && asked.contains("\r\nx-more: 1\r\n"), "{asked}");
    let (url, asked) = answer_once("HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nbad\n");
    let fault = world.fails(&words("bare", &["--target", &url, "--http-method", "delete"]));
    assert!(fault.contains("500") && fault.contains("bad"), "{fault}");
    assert!(asked.join().expect("asked").starts_with("DELETE /x "));
    let (url, asked) = answer_once("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    world.ok(&words("bare", &["--http-url", &url, "--http-method", "GET"]));
    assert!(!asked.join().expect("asked").contains("body"));
    for (rest, part) in [
        (vec![], "no URL"),
        (vec!["--http-url", "ftp://x"], "http://"),
        (vec!["--http-url", "http://127.0.0.1:9/", "--http-method", "FETCH"], "\"FETCH\" is none"),
        (vec!["--http-url", "http://127.0.0.1:9/", "--http-header", "a"], "no '='"),
    ] {
        let fault = world.fails(&words("bare", &rest));
        assert!(fault.contains(part), "{fault}");
    }
}

#[test]
fn groups_are_committed_through_the_manager() {
    let world = book(&[(
        "web",
        "{{/* =% managerCommit %= */}}\n- Plugin: group\n  Properties:\n    ID: web\n    Properties:\n\
         \x20     Allocation: {Size: {{ flag `n` `int` `members` 1 }}}\n\
         \x20     Instance: {Plugin: simulator/compute}\n      Flavor: {Plugin: vanilla}\n",
    )]);
    world.write("infrakit/leader", "manager1");
    let _plugins = world.plugins(&["manager:mystack", "group", "vanilla", "simulator", "vars"]);
    crate::support::wait("it leads", || world.ok(&["manager", "leader"]).contains(": true"));
    let done = world.ok(&words("web", &["--n", "3"]));
    assert_eq!(done, "Group web with plugin group plan: Managing 3 instances\n");
    let listed = world.ok(&["local", "mystack/groups", "groups", "-q"]);
    assert_eq!(listed, "web\n");
    let fault = world.fails(&words("web", &["--n", "-1"]));
    assert!(fault.contains("what the callable gives at /0"), "{fault}");
    let fault = world.fails(&words("web", &["--stack", "other"]));
    assert!(fault.contains("find other"), "{fault}");
}

#[test]
fn a_backend_that_is_not_here_is_refused_before_anything_is_asked() {
    let world = book(&[
        ("odd", "{{/* =% teleport %= */}}x {{ flag `a` `string` `a` | prompt `A?` `string` }}"),
        ("vm", "{{/* =% vmwscript %= */}}{{ file `trace` `x` }}script"),
        ("none", "no line"),
    ]);
    for (name, part) in [
        ("odd", "run with backend \"teleport\": this build has print, doc"),
        ("vm", "which this program does not speak"),
        ("none", "it names no backend"),
    ] {
        let fault = world.fails(&words(name, &[]));
        assert!(fault.contains(part), "{fault}");
    }
    assert!(!world.path().join("trace").exists());
    // What may lack a part is not committed.
    let turns = "=% if (var `to`) %= =% stackEnforce %= =% else %= =% print %= =% end %=";
    let turning = book(&[(
        "turns",
        &format!("{{{{ var `to` (flag `to` `bool` `t` false) }}}}{{{{/* {turns} */}}}}x"),
    )]);
    assert_eq!(turning.ok(&words("turns", &[])), "x");
    let fault = turning.fails(&words("turns", &["--to"]));
    assert!(fault.contains("commits with stackEnforce only under these flags"), "{fault}");
    assert_eq!(world.ok(&words("odd", &["--print-only", "--a", "b"])), "x b");
    assert_eq!(world.ok(&words("none", &["--print-only"])), "no line");
}
