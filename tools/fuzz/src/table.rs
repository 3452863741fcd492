//! The table of targets.

/// One decoder under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name of the function, of its corpus and of its test.
    pub name: &'static str,
    /// What it reads.
    pub about: &'static str,
    /// Mutations of its samples that a test run tries: thousands, fewer where files are written.
    pub mutations: u32,
    /// Panics when the bytes make the decoder break a law.
    pub run: fn(&[u8]),
}

/// Hands all rows to a macro: `module::function, mutations in a test run, what it reads;`.
#[macro_export]
macro_rules! for_all_targets {
    ($macro:ident) => {
        $macro! {
            ids::durations, 4000, "Go durations, as text and as JSON";
            ids::plugin_names, 4000, "names of plugins and of their objects";
            codec::records, 3000, "the envelope of our records, and torn tails";
            codec::json, 2000, "JSON with Go's rules, lenient and strict";
            plugin::endpoints, 4000, "addresses of plugins, topics of events";
            plugin::tags, 2000, "descriptions of instances with their tags";
            tree::paths, 3000, "paths into metadata";
            tree::changes, 1000, "changes of metadata, proposals and their hashes";
            rpc::bodies, 300, "JSON-RPC requests, in the body of a POST";
            rpc::requests, 300, "HTTP requests, byte by byte";
            rpc::answers, 400, "what a client gets from a peer that lies";
            groups::group_specs, 2000, "documents of groups";
            options::options, 2000, "options of providers and of the manager";
            options::selectors, 1500, "choices and properties of selectors";
            options::vanilla_settings, 800, "settings of the flavor vanilla";
            options::process_properties, 1500, "properties of local processes";
            files::file_instances, 400, "files of the file provider";
            files::process_records, 200, "records of the process provider, through its recovery";
            files::intent_logs, 600, "the intent log, through its recovery";
            manager::locations, 4000, "where the leader is";
            manager::leader_files, 60, "leader file, location and fence";
            manager::catalogs, 2000, "the stored document of all specs";
            manager::stored_documents, 300, "documents in the file store";
            supervise::supervise_files, 500, "configurations of the supervisor, of both versions";
            template::templates, 600, "templates, parsed and rendered";
            template::documents, 500, "YAML, HCL, INI and JSON within templates";
            spec::spec_documents, 1500, "specs that people write, in YAML or JSON";
            catalog::catalog_commands, 4000, "commands and replies of the catalog's machine";
            catalog::acl_rules, 3000, "rules of tokens, as blocks and as JSON";
            catalog::dns_questions, 3000, "questions over DNS";
            catalog_http::catalog_requests, 40, "requests of the Consul interface, with their bodies";
            catalog_http::registrations, 30, "the file of what a node registered";
            machines::catalog_logs, 600, "commands of the catalog, applied one by one";
            machines::catalog_rows, 300, "rows of the catalog";
            machines::key_commands, 3000, "commands of the coordination keys, applied one by one";
            machines::key_rows, 1000, "rows of the coordination keys";
            machines::node_commands, 3000, "commands of the nodes, applied one by one";
            machines::node_rows, 800, "rows of the nodes";
            consensus::member_messages, 4000, "votes, entries and what members say to each other";
            consensus::images, 60, "images of the tables, and taking them over";
            consensus::logs, 30, "the log of a member that goes on alone";
            journal::segments, 300, "segment files of the journal";
            wire::frames, 4000, "frames between nodes: heads, hellos, faults";
            pki::join_tokens, 4000, "join tokens";
            pki::identities, 4000, "whom a certificate may name";
            pki::certificates, 2000, "certificates and requests for them";
            pki::papers, 300, "key, certificate and roots of a node";
            pki::authorities, 300, "the authority's record";
            agent::node_folders, 300, "node.json, papers.json and the servers' key in their folder";
            agent::sealed_records, 2000, "what only servers may open";
            agent::backups, 60, "backups, taken over";
        }
    };
}

macro_rules! table {
    ($($module:ident::$name:ident, $mutations:literal, $about:literal;)*) => {
        /// Every target.
        pub const TARGETS: &[Target] = &[$(Target {
            name: stringify!($name),
            about: $about,
            mutations: $mutations,
            run: $crate::targets::$module::$name,
        }),*];
    };
}
for_all_targets!(table);

/// The target of that name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
