//! Results that sprig's documentation and its own tests give.

use crate::support::{expect_all, failure, render};
use serde_json::json;

#[test]
fn strings() {
    expect_all(&[
        (
            r#"{{ trim "   hello    " }}|{{ trimAll "$" "$5.00" }}|{{ trimSuffix "-" "hello-" }}|{{ trimPrefix "$" "$5.00" }}"#,
            "hello|5.00|hello|5.00",
        ),
        (
            r#"{{ upper "hello" }} {{ lower "HELLO" }} {{ title "hello world" }} {{ untitle "Hello World" }}"#,
            "HELLO hello Hello World hello world",
        ),
        (
            r#"{{ repeat 3 "hello" }} {{ substr 0 5 "hello world" }} {{ substr 6 -1 "hello world" }} {{ trunc 5 "hello world" }}"#,
            "hellohellohello hello world hello",
        ),
        (
            r#"{{ nospace "hello w o r l d" }} {{ initials "First Try" }} {{ swapcase "FoO" }}"#,
            "helloworld FT fOo",
        ),
        (
            r#"{{ abbrev 5 "hello world" }} {{ abbrevboth 5 10 "1234 5678 9123" }} {{ abbrev 3 "abcdef" }}"#,
            "he... ...5678... abcdef",
        ),
        (
            r#"{{ contains "cat" "catch" }} {{ hasPrefix "cat" "catch" }} {{ hasSuffix "h" "catch" }}"#,
            "true true true",
        ),
        (
            r#"{{ quote "a" 1 nil }} {{ squote "a" 2 }} {{ cat "hello" "beautiful" "world" }}"#,
            r#""a" "1" 'a' '2' hello beautiful world"#,
        ),
        ("{{ indent 4 \"a\\nb\" }}|{{ nindent 2 \"a\" }}", "    a\n    b|\n  a"),
        (
            r#"{{ "I Am Henry VIII" | replace " " "-" }} {{ plural "one anchovy" "many anchovies" 1 }}"#,
            "I-Am-Henry-VIII one anchovy",
        ),
        (
            r#"{{ snakecase "FirstName" }} {{ snakecase "HTTPServer" }} {{ snakecase "NoHTTPS" }} {{ snakecase "GO PATH" }}"#,
            "first_name http_server no_https go_path",
        ),
        (
            r#"{{ camelcase "http_server" }} {{ camelcase "some words" }} {{ kebabcase "FirstName" }}"#,
            "HttpServer SomeWords first-name",
        ),
        (
            r#"{{ wrap 5 "Hello World" }}|{{ wrapWith 5 "\t" "HelloWorld" }}|{{ wrap 20 "short" }}"#,
            "Hello\nWorld|Hello\tWorld|short",
        ),
        (r#"{{ wrap 80 "" }}{{ wrap 3 "abcdef gh" }}"#, "abcdef\ngh"),
        (
            r#"{{ $a := split "$" "foo$bar$baz" }}{{ $a._0 }}{{ $a._2 }} {{ $n := splitn "$" 2 "foo$bar$baz" }}{{ $n._1 }}"#,
            "foobaz bar$baz",
        ),
        (
            r#"{{ splitList "$" "foo$bar" | join "-" }} {{ list 1 2 3 | toStrings | join "," }} {{ join "x" "a" }}"#,
            "foo-bar 1,2,3 a",
        ),
        (r#"{{ splitList "" "abc" | join "," }} {{ toString 5 }} {{ hello }}"#, "a,b,c 5 Hello!"),
        (
            r#"{{ randAlphaNum 8 | len }}{{ randNumeric 3 | len }}{{ randAlpha 2 | len }}{{ randAscii 4 | len }} {{ shuffle "aaa" }}"#,
            "8324 aaa",
        ),
        (r#"{{ regexMatch "^[a-z]+$" (randAlpha 9 | lower) }} {{ uuidv4 | len }}"#, "true 36"),
    ]);
}

#[test]
fn lists() {
    expect_all(&[
        (
            r#"{{ $l := list 1 2 3 4 5 }}{{ first $l }}{{ last $l }}{{ rest $l }}{{ initial $l }}{{ append $l 6 }}{{ prepend $l 0 }}"#,
            "15[2 3 4 5][1 2 3 4][1 2 3 4 5 6][0 1 2 3 4 5]",
        ),
        (
            r#"{{ reverse (list 1 2 3) }} {{ uniq (list 1 1 1 2) }} {{ without (list 1 2 3) 3 1 }} {{ has 4 (list 1 4) }} {{ has "a" nil }}"#,
            "[3 2 1] [1 2] [2] true false",
        ),
        (
            r#"{{ concat (list 1) (list 2 3) }} {{ compact (list 0 1 "" "a" nil) }} {{ chunk 2 (list 1 2 3) }} {{ slice (list 1 2 3) 1 }}"#,
            "[1 2 3] [1 a] [[1 2] [3]] [2 3]",
        ),
        (
            r#"{{ first (list) }} {{ rest (list) }} {{ tuple 1 "a" }}"#,
            "<no value> <no value> [1 a]",
        ),
        (
            r#"{{ until 5 }} {{ until -3 }} {{ untilStep 3 6 2 }} {{ untilStep 0 5 -1 }} {{ untilStep 5 0 -2 }} {{ seq 5 }} {{ seq -1 }} {{ seq 2 2 6 }}"#,
            "[0 1 2 3 4] [0 -1 -2] [3 5] [] [5 3 1] 1 2 3 4 5 1 0 -1 2 4 6",
        ),
        (
            r#"{{ sortAlpha (list "foo" "bar" "baz") }} {{ range $i := until 3 }}{{ $i }}{{ end }}"#,
            "[bar baz foo] 012",
        ),
    ]);
}

#[test]
fn dictionaries() {
    expect_all(&[
        (
            r#"{{ $d := dict "name1" "value1" "name2" "value2" 3 "three" }}{{ $d }} {{ $d.name1 }} {{ hasKey $d "name2" }} {{ get $d "none" }}{{ keys $d }} {{ values $d }}"#,
            "map[3:three name1:value1 name2:value2] value1 true [3 name1 name2] [three value1 value2]",
        ),
        (
            r#"{{ $d := dict "a" 1 }}{{ $_ := set $d "b" 2 }}{{ $_ := unset $d "a" }}{{ $d }}"#,
            "map[b:2]",
        ),
        (r#"{{ $e := dict }}{{ $d := dict "e" $e }}{{ $_ := set $e "x" 1 }}{{ $d.e.x }}"#, "1"),
        (
            r#"{{ pluck "n" (dict "n" 1) (dict "m" 2) (dict "n" 3) }} {{ pick (dict "a" 1 "b" 2) "a" "z" }} {{ omit (dict "a" 1 "b" 2) "a" }}"#,
            "[1 3] map[a:1] map[b:2]",
        ),
        (
            r#"{{ merge (dict "a" 1 "n" (dict "x" 1)) (dict "a" 2 "b" 3 "n" (dict "x" 2 "y" 2)) }}"#,
            "map[a:1 b:3 n:map[x:1 y:2]]",
        ),
        (
            r#"{{ mergeOverwrite (dict "a" 1 "n" (dict "x" 1)) (dict "a" 2 "n" (dict "x" 2)) }}"#,
            "map[a:2 n:map[x:2]]",
        ),
        (
            r#"{{ $a := dict "n" (dict "x" 1) }}{{ $b := deepCopy $a }}{{ $_ := set $b.n "x" 2 }}{{ $a.n.x }}{{ $b.n.x }}"#,
            "12",
        ),
        (
            r#"{{ dig "a" "b" "none" (dict "a" (dict "b" 7)) }} {{ dig "a" "z" "none" (dict "a" (dict "b" 7)) }}"#,
            "7 none",
        ),
    ]);
}

#[test]
fn arithmetic() {
    expect_all(&[
        (
            r#"{{ add 1 2 3 }} {{ add1 4 }} {{ sub 5 2 }} {{ mul 1 2 3 }} {{ div 7 2 }} {{ mod 7 3 }} {{ max 1 5 3 }} {{ biggest 2 1 }} {{ min 3 1 2 }}"#,
            "6 5 3 6 3 1 5 2 1",
        ),
        (
            r#"{{ floor 123.9999 }} {{ ceil 123.001 }} {{ round 123.555555 3 }} {{ round 123.4999 0 }} {{ round 1.45 1 0.4 }}"#,
            "123 124 123.556 123 1.5",
        ),
        (
            r#"{{ int "42" }} {{ int64 42.9 }} {{ float64 "1.5" }} {{ atoi "x" }} {{ int "0x10" }} {{ add "5" 1.9 true }} {{ toDecimal "777" }}"#,
            "42 42 1.5 0 16 7 511",
        ),
        (r#"{{ $r := randInt 5 6 }}{{ $r }}"#, "5"),
    ]);
    assert_eq!(render("{{ add .n 1 }} {{ until .n }}", &json!({"n": 3})), "4 [0 1 2]");
}

#[test]
fn defaults_types_and_flow() {
    expect_all(&[
        (
            r#"{{ default "foo" "" }} {{ default "foo" "bar" }} {{ "" | default "x" }} {{ default "foo" nil }} {{ default "f" }}"#,
            "foo bar x foo f",
        ),
        (
            r#"{{ empty "" }} {{ empty (list) }} {{ empty 0 }} {{ empty 1 }} {{ coalesce 0 1 2 }} {{ ternary "a" "b" true }} {{ all 1 "" }} {{ any 1 "" }}"#,
            "true true true false 1 a false true",
        ),
        (
            r#"{{ typeOf 1.5 }} {{ kindOf (list) }} {{ kindIs "map" (dict) }} {{ typeIs "string" "x" }} {{ typeIsLike "*string" "x" }} {{ kindOf 1 }}"#,
            "float64 slice true true true int",
        ),
        (
            r#"{{ toJson (dict "a" (list 1 "<")) }} {{ toRawJson "<" }} {{ (fromJson `{"a":5}`).a }}"#,
            "{\"a\":[1,\"\\u003c\"]} \"<\" 5",
        ),
        (r#"{{ toPrettyJson (dict "a" 1) }}"#, "{\n  \"a\": 1\n}"),
        (
            r#"{{ deepEqual (list 1 2) (list 1 2) }} {{ env "REGROW_NO_SUCH_VARIABLE" }}{{ expandenv "a${REGROW_NO_SUCH_VARIABLE}b" }}"#,
            "true ab",
        ),
        (
            r#"{{ base "foo/bar/baz" }} {{ dir "foo/bar/baz" }} {{ clean "foo/bar/../baz" }} {{ ext "foo.bar" }} {{ isAbs "/a" }} {{ base "" }} {{ dir "a" }}"#,
            "baz foo/bar foo/baz .bar true . .",
        ),
    ]);
    assert!(failure(r#"{{ fail "please" }}"#, &json!(null)).ends_with("please"));
}

#[test]
fn encodings_and_checksums() {
    expect_all(&[
        (
            r#"{{ b64enc "hello" }} {{ "aGVsbG8=" | b64dec }} {{ b32enc "foobar" }} {{ b32dec "MZXW6YTBOI======" }}"#,
            "aGVsbG8= hello MZXW6YTBOI====== foobar",
        ),
        (
            r#"{{ sha1sum "abc" }} {{ adler32sum "abc" }} {{ adler32sum "Wikipedia" }}"#,
            "a9993e364706816aba3e25717850c26c9cd0d89d 38600999 300286872",
        ),
        (
            r#"{{ sha256sum "abc" }}"#,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (r#"{{ sha512sum "" | trunc 16 }}"#, "cf83e1357eefb8bd"),
    ]);
    for name in
        ["genPrivateKey", "genCA", "derivePassword", "htpasswd", "encryptAES", "genSelfSignedCert"]
    {
        let message = failure(&format!("{{{{ {name} }}}}"), &json!(null));
        assert!(
            message.contains(&format!("function {name:?} is not offered: secrets")),
            "{message}"
        );
    }
}

#[test]
fn expressions() {
    expect_all(&[
        (
            r#"{{ regexMatch "[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\\.[A-Za-z]{2,}" "test@acme.com" }}"#,
            "true",
        ),
        (
            r#"{{ regexFindAll "a{6}b" "aaaaaab" -1 }} {{ regexFindAll "[2,4,6,8]" "123456789" 2 }} {{ regexFind "[a-zA-Z][1-9]" "abcd1234" }}"#,
            "[aaaaaab] [2 4] d1",
        ),
        (
            r#"{{ regexReplaceAll "a(x*)b" "-ab-axxb-" "${1}W" }} {{ regexReplaceAllLiteral "a(x*)b" "-ab-axxb-" "${1}" }}"#,
            "-W-xxW- -${1}-${1}-",
        ),
        (
            r#"{{ regexSplit "z+" "pizza" -1 }} {{ regexSplit "z+" "pizza" 1 }} {{ regexSplit "z" "pizza" 2 }} {{ regexQuoteMeta "a.b" }}"#,
            r"[pi a] [pizza] [pi za] a\.b",
        ),
    ]);
}

#[test]
fn versions() {
    expect_all(&[(
        r#"{{ $v := semver "1.2.3-alpha.1+123" }}{{ $v }} {{ $v.Major }} {{ $v.Minor }} {{ $v.Patch }} {{ $v.Prerelease }} {{ $v.Metadata }} {{ (semver "v1.2").Original }}"#,
        "1.2.3-alpha.1+123 1 2 3 alpha.1 123 v1.2",
    )]);
    for (constraint, version, want) in [
        ("1.2.3", "1.2.3", true),
        (">=1.2.3", "1.2.2", false),
        (">= 1.2.3, < 2", "1.9.0", true),
        (">= 1.2.3, < 2", "2.0.0", false),
        ("^1.2.0", "1.3.0", true),
        ("^1.2.0", "2.0.0", false),
        ("~1.2.3", "1.2.9", true),
        ("~1.2.3", "1.3.0", false),
        ("~1", "1.9.0", true),
        ("1.2.x", "1.2.7", true),
        ("1.2.x", "1.3.0", false),
        ("*", "9.9.9", true),
        ("1.2 - 1.4.5", "1.3.0", true),
        ("1.2 - 1.4.5", "1.4.6", false),
        ("^1.2.0", "1.3.0-beta", false),
        ("<1.0 || >2", "2.1.0", true),
        ("!=1.0.0", "1.0.1", true),
        (">1.2", "1.2.5", true),
    ] {
        let text = format!("{{{{ semverCompare {constraint:?} {version:?} }}}}");
        assert_eq!(render(&text, &json!(null)), want.to_string(), "{text}");
    }
}

#[test]
fn dates() {
    let at = r#"{{ $t := toDate "2006-01-02T15:04:05Z07:00" "2017-12-31T23:05:09.25+02:00" }}"#;
    for (text, want) in [
        (
            r#"{{ dateInZone "2006-01-02 15:04:05.000 MST" $t "UTC" }}"#,
            "2017-12-31 21:05:09.250 UTC",
        ),
        (
            r#"{{ dateInZone "Mon Monday Jan January _2 02 2 06 3:04PM 1 01 4 5 pm .999" $t "UTC" }}"#,
            "Sun Sunday Dec December 31 31 31 17 9:05PM 12 12 5 9 pm .25",
        ),
        (
            r#"{{ dateInZone "2006-01-02T15:04:05Z07:00" $t "America/New_York" }}"#,
            "2017-12-31T16:05:09-05:00",
        ),
        (r#"{{ dateInZone "15:04 -0700 MST" $t "Europe/Berlin" }}"#, "22:05 +0100 CET"),
        (
            r#"{{ htmlDateInZone $t "UTC" }} {{ unixEpoch $t }} {{ $t.Unix }} {{ $t.Year }} {{ $t.UTC.Format "15h" }}"#,
            "2017-12-31 1514754309 1514754309 2017 21h",
        ),
        (
            r#"{{ dateInZone "2006-01-02" ($t | dateModify "3h") "UTC" }} {{ dateInZone "15:04" (dateModify "-1.5h" $t) "UTC" }}"#,
            "2018-01-01 19:35",
        ),
        (r#"{{ $t.UTC }}"#, "2017-12-31 21:05:09.25 +0000 UTC"),
        (
            r#"{{ dateInZone "2006-01-02 15:04" 0 "UTC" }} {{ duration 95 }} {{ duration "3661" }}"#,
            "1970-01-01 00:00 1m35s 1h1m1s",
        ),
        (
            r#"{{ ago (now | dateModify "-90m") }} {{ kindOf now }} {{ typeOf now }}"#,
            "1h30m0s struct time.Time",
        ),
        (
            r#"{{ (toDate "Jan 2, 2006 at 3:04pm" "Feb 3, 2013 at 7:54pm").Format "2006-02-01 15:04" }}"#,
            "2013-03-02 19:54",
        ),
        (
            r#"{{ dateInZone "2006" (toDate "2006" "nonsense") "UTC" }} {{ lt 1 2 }} {{ date "2006" now | len }} {{ htmlDate now | len }}"#,
            "0001 true 4 10",
        ),
        (r#"{{ toJson (toDate "2006-01-02T15:04:05Z" "2020-02-03T04:05:06Z").UTC | len }}"#, "22"),
    ] {
        assert_eq!(render(&format!("{at}{text}"), &json!(null)), want, "{text}");
    }
}
