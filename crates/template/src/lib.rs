//! Go `text/template` with sprig's and InfraKit's functions, rendered in one or several passes.
//!
//! ```
//! use regrow_template::{Options, Template};
//!
//! let text = r#"{{ var "size" 3 }}{"Size": {{ var "size" }}, "Zone": "{{ .zone | upper }}"}"#;
//! let template = Template::from_text(text, "file:///etc/", &Options::default());
//! let rendered = template.render(&serde_json::json!({"zone": "a1"}))?;
//! assert_eq!(rendered.text, r#"{"Size": 3, "Zone": "A1"}"#);
//! # Ok::<(), regrow_template::TemplateError>(())
//! ```
//!
//! # What it must never do
//!
//! - Panic, overflow the stack, run without end or take memory without bound, whatever the text
//!   says: see [`Limits`].
//! - Print something other than Go would for a template that works in Go.
//! - Touch a network, a file or a plugin except through [`Fetcher`] and [`MetadataLookup`].
//!   (`env` and `expandenv`, which read the environment of the process, are the exception.)
//!
//! # Numbers
//!
//! Go decodes every number of a JSON or YAML document as a 64-bit float, and prints it as one: 5
//! prints as `5`, 12345678901 as `1.2345678901e+10`. Templates in use depend on it
//! (`printf "%.0f"`), so that is the default; [`JsonNumbers::Exact`] keeps whole numbers whole.
//! Variables given through [`Template::var`] are always exact.
//!
//! # Where it differs from Go, on purpose
//!
//! A template that works in Go gives the same text here. Some that fail in Go work here:
//!
//! - Whole and floating numbers compare with each other, and a float without a fraction serves
//!   where a function wants a whole number. Go fails with "incompatible types".
//! - All whole numbers have one type; `kindOf` and `%T` call it `int` where Go may say `int64`.
//! - A field of a null is null; Go fails on "nil pointer".
//! - `and` and `or` stop early, `break`, `continue` and `range` over a number work: Go learnt them
//!   after InfraKit's time.
//! - `unescape` takes backslashes out. In InfraKit it put them in, as `escape` does.
//! - `keys`, `values` and `pluck` follow the order of keys. In Go it is random.
//!
//! `include`, `fetch` and `source` that cannot read, or whose template fails, are an error with its
//! place, and so is what `var` of an included template raises. InfraKit does the same in documents;
//! in callables it prints `{}` for such an `include` and nothing for such a `fetch` and goes on.
//!
//! Some that work in Go fail here: values have no methods except times; there are no function
//! values; sprig's functions for keys, certificates and passwords (`genPrivateKey`, `genCA`,
//! `derivePassword`, `htpasswd`, `bcrypt`, `encryptAES` and their kin) are not offered: secrets do
//! not belong into documents that are stored and compared. Calling one is an error that says so.
//! Sprig is version 2 where it differs from version 3; functions of version 3 under new names
//! (`dig`, `get`, `fromJson`, ...) are there too.
//!
//! # Where to start reading
//!
//! [`Template`] ties everything together. `syntax` makes a tree of text, `exec` runs it,
//! `functions` and `sprig` are what it can call (tables of data with their help), `gofmt` prints
//! values as Go does, `fetch` gets documents.
//!
//! The `gotmpl` crate is not used at run time: it accepts templates that Go refuses (a stray
//! `{{end}}` silently drops the rest of the document), passes the dot to `{{template "x"}}`, prints
//! large floats differently and has no line numbers in errors. The tests compare with it where it
//! is right.

mod error;
mod exec;
mod fetch;
mod functions;
mod gofmt;
mod hcl;
mod ini;
mod metadata;
mod options;
mod scope;
mod sprig;
mod syntax;
mod template;
mod url;
mod value;
mod yaml;

pub use error::{CallError, FetchError, TemplateError};
pub use fetch::cache::forget_copies;
pub use fetch::{Fetcher, Headers, UrlFetcher};
pub use functions::{Args, Function, FunctionBody, FunctionHelp, FunctionSet, builtin_help};
pub use metadata::MetadataLookup;
pub use options::{EchoSink, Limits, MissingKey, Options};
pub use scope::Scope;
pub use template::{Rendered, Template};
pub use value::{JsonNumbers, List, Map, Object, Value};
