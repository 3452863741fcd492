//! What an agent finds in its folder, and backups.

use std::time::Duration;

use regrow_agent::folder::Folder;
use regrow_agent::seal::SealKey;
use regrow_agent::{RestoreOptions, restore};
use regrow_pki::Secret;

use crate::scratch::{choice, folder, must, runtime, text, two, write};

/// Who the node is, its papers and its servers' key: what is read is written and read as the same,
/// what is not is left alone, and the error names the folder or what was being read.
pub fn node_folders(data: &[u8]) {
    const NAMES: [&str; 4] = ["node.json", "papers.json", "servers.key", "chain.pem"];
    let (which, rest) = choice(data, 4);
    let name = NAMES.get(usize::from(which)).copied().unwrap_or_default();
    let dir = folder();
    write(dir.path(), name, rest);
    let opened = must(Folder::open(dir.path()), "open the folder");
    match opened.identity() {
        Ok(Some(identity)) => {
            must(opened.set_identity(&identity), "write who the node is");
            let again = must(opened.identity(), "read who the node is");
            assert_eq!(again, Some(identity));
        }
        Ok(None) => assert_ne!(name, "node.json"),
        Err(fault) => assert!(fault.to_string().contains("node.json"), "{fault}"),
    }
    match opened.papers() {
        Ok(papers) => {
            must(opened.set_papers(&papers), "write the papers");
            let again = must(opened.papers(), "read the papers back");
            assert_eq!(again.credential.identity(), papers.credential.identity());
        }
        Err(fault) => {
            let fault = fault.to_string();
            assert!(fault.contains("papers") && !fault.contains("PRIVATE"), "{fault}");
        }
    }
    match opened.seal_key() {
        Ok(Some(key)) => {
            must(opened.set_seal_key(&key), "write the servers' key");
            let again = must(opened.seal_key(), "read the servers' key");
            assert!(again.is_some_and(|again| again.text().expose() == key.text().expose()));
        }
        Ok(None) => assert_ne!(name, "servers.key"),
        Err(fault) => assert!(fault.to_string().contains("server"), "{fault}"),
    }
}

/// What was sealed opens with the same key for the same purpose; nothing else does.
pub fn sealed_records(data: &[u8]) {
    let (key, sealed) = two(data);
    let Ok(key) = SealKey::parse(&text(key)) else { return };
    if let Ok(opened) = key.open("authority", sealed) {
        assert!(opened.expose().len() < sealed.len());
        assert!(key.open("other", sealed).is_err());
    }
    let plain = Secret::new(text(sealed));
    let again = must(key.seal("authority", &plain), "seal");
    let opened = must(key.open("authority", &again), "open what was sealed");
    assert_eq!(opened.expose(), plain.expose());
}

/// A file is taken over as a whole, or refused without becoming a node.
pub fn backups(data: &[u8]) {
    let dir = folder();
    write(dir.path(), "backup", data);
    let state = dir.path().join("state");
    let options = RestoreOptions {
        state: state.clone(),
        name: "one".to_owned(),
        address: "127.0.0.1:7400".to_owned(),
        life: Duration::from_secs(3_600),
    };
    let restored = runtime().block_on(restore(&dir.path().join("backup"), &options));
    match restored {
        Ok(identity) => {
            let folder = must(Folder::open(&state), "open the restored folder");
            assert_eq!(must(folder.identity(), "read who the node is"), Some(identity));
            let papers = must(folder.papers(), "read the papers");
            assert_eq!(papers.credential.identity().role, regrow_pki::Role::Server);
        }
        Err(fault) => {
            assert!(!fault.to_string().is_empty());
            assert!(!state.join("node.json").exists(), "half a node: {fault}");
        }
    }
}
