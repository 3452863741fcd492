//! Encodings and checksums; and the functions for secrets, which are left out.

use super::Result;
use crate::error::CallError;
use crate::functions::{Args, Builtin, many, one};
use crate::scope::Scope;
use crate::value::Value;
use data_encoding::{BASE32, BASE64, Encoding, HEXLOWER};
use sha1::Digest;

pub(super) const TABLE: &[Builtin] = &[
    one("b64enc", 1, "func(string) string", &["Base 64."], |_, a| {
        Ok(Value::from(BASE64.encode(a.text(0)?.as_bytes())))
    }),
    one(
        "b64dec",
        1,
        "func(string) string",
        &["The text that base 64 stands for; if it is none, what is wrong with it."],
        |_, a| decode(a, &BASE64),
    ),
    one("b32enc", 1, "func(string) string", &["Base 32."], |_, a| {
        Ok(Value::from(BASE32.encode(a.text(0)?.as_bytes())))
    }),
    one(
        "b32dec",
        1,
        "func(string) string",
        &["The text that base 32 stands for; if it is none, what is wrong with it."],
        |_, a| decode(a, &BASE32),
    ),
    one("sha1sum", 1, "func(string) string", &["SHA-1 in hexadecimal."], |_, a| {
        Ok(Value::from(HEXLOWER.encode(&sha1::Sha1::digest(a.text(0)?.as_bytes()))))
    }),
    one("sha256sum", 1, "func(string) string", &["SHA-256 in hexadecimal."], |_, a| {
        Ok(Value::from(HEXLOWER.encode(&sha2::Sha256::digest(a.text(0)?.as_bytes()))))
    }),
    one("sha512sum", 1, "func(string) string", &["SHA-512 in hexadecimal."], |_, a| {
        Ok(Value::from(HEXLOWER.encode(&sha2::Sha512::digest(a.text(0)?.as_bytes()))))
    }),
    one("adler32sum", 1, "func(string) string", &["Adler-32 in decimal."], |_, a| {
        Ok(Value::from(adler32(a.text(0)?.as_bytes()).to_string()))
    }),
    many("genPrivateKey", 0, "func(string) string", SECRET, refuse),
    many(
        "derivePassword",
        0,
        "func(uint32, string, string, string, string) string",
        SECRET,
        refuse,
    ),
    many("genCA", 0, "func(string, int) (sprig.certificate, error)", SECRET, refuse),
    many("genCAWithKey", 0, "func(string, int, string) (sprig.certificate, error)", SECRET, refuse),
    many(
        "genSelfSignedCert",
        0,
        "func(string, []interface {}, []interface {}, int) (sprig.certificate, error)",
        SECRET,
        refuse,
    ),
    many(
        "genSelfSignedCertWithKey",
        0,
        "func(string, []interface {}, []interface {}, int, string) (sprig.certificate, error)",
        SECRET,
        refuse,
    ),
    many(
        "genSignedCert",
        0,
        "func(string, []interface {}, []interface {}, int, sprig.certificate) (sprig.certificate, error)",
        SECRET,
        refuse,
    ),
    many(
        "genSignedCertWithKey",
        0,
        "func(string, []interface {}, []interface {}, int, sprig.certificate, string) (sprig.certificate, error)",
        SECRET,
        refuse,
    ),
    many("buildCustomCert", 0, "func(string, string) (sprig.certificate, error)", SECRET, refuse),
    many("htpasswd", 0, "func(string, string) string", SECRET, refuse),
    many("bcrypt", 0, "func(string) string", SECRET, refuse),
    many("encryptAES", 0, "func(string, string) (string, error)", SECRET, refuse),
    many("decryptAES", 0, "func(string, string) (string, error)", SECRET, refuse),
    many("randBytes", 0, "func(int) (string, error)", SECRET, refuse),
    many("genPassword", 0, "func(int) string", SECRET, refuse),
    many(
        "getHostByName",
        0,
        "func(string) string",
        &["Not offered: what it gives changes from one rendering to the next."],
        |_, a| {
            let reason =
                "a document must not depend on the name server of the moment; use metadata";
            Err(CallError::NotOffered { function: a.name().to_owned(), reason })
        },
    ),
];

const SECRET: &[&str] = &["Not offered: secrets do not belong into documents."];

fn refuse(_: &Scope<'_>, args: &Args<'_>) -> Result {
    Err(CallError::NotOffered {
        function: args.name().to_owned(),
        reason: "secrets and certificates do not belong into documents that are stored and \
                 compared; make them once outside and hand them in by metadata or var",
    })
}

/// Sprig gives the error as the result, so that templates can look at it.
fn decode(args: &Args<'_>, encoding: &Encoding) -> Result {
    let decoded = encoding.decode(args.text(0)?.as_bytes()).map_err(|error| error.to_string());
    let text = decoded.and_then(|bytes| {
        String::from_utf8(bytes).map_err(|_| "the decoded bytes are not UTF-8 text".to_owned())
    });
    Ok(Value::from(text.unwrap_or_else(|error| error)))
}

fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (mut low, mut high) = (1u32, 0u32);
    for byte in bytes {
        low = (low + u32::from(*byte)) % MODULUS;
        high = (high + low) % MODULUS;
    }
    (high << 16) | low
}
