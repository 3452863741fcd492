//! What a manager reads from its folder.

use regrow_codec::Any;
use regrow_ids::Fence;
use regrow_manager::Catalog;
use regrow_manager::leader::{
    FileLeader, FileLeaderSettings, LeaderSource, Leadership, parse_location, print_location,
};
use regrow_manager::store::{Document, FileStore, SpecStore, StoreError};

use super::codec::has_a_place;
use crate::scratch::{folder, in_virtual_time, must, runtime, text, two, write};

/// A location prints and reads back.
pub fn locations(data: &[u8]) {
    match parse_location(&text(data), "a fuzzed text") {
        Ok(location) => {
            let printed = print_location(&location);
            assert_eq!(must(parse_location(&printed, "its print"), &printed), location);
        }
        Err(fault) => assert!(fault.to_string().contains("a fuzzed text"), "{fault}"),
    }
}

/// We lead only when the file names us and a new fence is on disk; the location reads back.
pub fn leader_files(data: &[u8]) {
    let (leader, rest) = two(data);
    let (fence, location) = two(rest);
    if text(leader).trim().is_empty() {
        // Taken for a file that is being written: waits on the real clock.
        return;
    }
    let dir = folder();
    write(dir.path(), "leader", leader);
    write(dir.path(), "leader.fence", fence);
    write(dir.path(), "leader.loc", location);
    let settings = FileLeaderSettings {
        leader_file: dir.path().join("leader"),
        id: "us".to_owned(),
        poll_interval: std::time::Duration::from_secs(3_600),
    };
    in_virtual_time(async {
        let source = must(FileLeader::start(settings).await, "start the leader source");
        let now = source.watch().borrow().clone();
        let stored = text(fence).trim().parse::<u64>().ok();
        let named = text(leader).trim() == "us";
        match now {
            Leadership::Leading { fence } => {
                assert!(named && stored.is_some_and(|stored| fence == Fence::new(stored).next()));
                let written = std::fs::read_to_string(dir.path().join("leader.fence"));
                assert_eq!(must(written, "read the fence"), fence.to_string());
            }
            Leadership::Following => assert!(!named),
            Leadership::Unknown { .. } => assert!(named && stored.is_none()),
        }
        if let Ok(Some(location)) = source.location().await {
            must(source.set_location(&location).await, "write the location");
            let again = must(source.location().await, "read the location back");
            assert_eq!(again, Some(location));
        }
    });
}

/// A catalog prints and reads back; a fault names the entry.
pub fn catalogs(data: &[u8]) {
    let Ok(document) = Any::from_text(text(data)) else { return };
    let catalog = match Catalog::read(Some(&document)) {
        Ok(catalog) => catalog,
        Err(fault) => return has_a_place(&fault),
    };
    let printed = catalog.to_document();
    assert_eq!(must(Catalog::read(Some(&printed)), printed.as_text()), catalog);
    for (key, record) in catalog.iter() {
        assert!(catalog.get(key).is_some_and(|found| found.is_same(record)), "{key}");
    }
}

/// What is loaded can be saved and loaded as the same; what is damaged is left alone.
pub fn stored_documents(data: &[u8]) {
    const NAME: &str = "global.config";
    let dir = folder();
    write(dir.path(), NAME, data);
    let store = FileStore::new(dir.path());
    runtime().block_on(async {
        let stored = match store.load(&Document::Specs).await {
            Ok(stored) => stored,
            Err(fault) => {
                assert!(matches!(fault, StoreError::Damaged { .. }), "{fault}");
                let left = must(std::fs::read(dir.path().join(NAME)), "read the document");
                return assert_eq!(left, data);
            }
        };
        let Some(contents) = stored.contents else { panic!("the document is not there") };
        let saved = store.save(&Document::Specs, &contents, &stored.version, Fence::new(1)).await;
        let version = must(saved, "save what was loaded");
        let again = must(store.load(&Document::Specs).await, "load what was saved");
        assert_eq!(again.version, version);
        let again = again.contents.unwrap_or_default();
        assert_eq!(again.to_value(), contents.to_value());
        let saved = store.save(&Document::Specs, &again, &version, Fence::new(1)).await;
        assert_eq!(must(saved, "save it again"), version);
    });
}
