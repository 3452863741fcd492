//! Everything that reads what others wrote, fuzzed: promise P1.
//!
//! What it is: one function for each decoder. It takes any bytes and panics when the decoder breaks
//! one of its laws: what was read prints and reads back as the same, a fault says where it is, and
//! the answer comes in bounded time and memory. `cargo xtask fuzz` runs the functions under libFuzzer,
//! guided by coverage; the tests of this crate replay the stored corpora, and what is found by small
//! changes of them, without an engine.
//!
//! What it must never do: touch anything outside its own scratch folder, open a connection to
//! anybody else, or start a process.
//!
//! Where to start reading: the table in `table.rs`. A new decoder is a function below `targets/`, a
//! row there and one here, and a folder of that name in `corpus/` with at least one sample.
//!
//! # Decoders and their targets
//!
//! A path is a file or a folder below `crates/`; the test `the_table_of_decoders_is_true` reads this
//! list. A dash says that there is no target, and why or what stands in for it.
//!
//! | decoder | target |
//! |---|---|
//! | `ids/src/duration.rs` | `durations` |
//! | `ids/src/plugin_name.rs` | `plugin_names` |
//! | `codec/src/record.rs` | `records` |
//! | `codec/src/versioned.rs` | `member_messages`, `node_commands`, `catalog_commands` |
//! | `codec/src/decode.rs`, `codec/src/any.rs`, `codec/src/gojson.rs` | `json` |
//! | `wire/src/frame.rs` | `frames` |
//! | `journal/src` | `segments` |
//! | `pki/src/token.rs` | `join_tokens` |
//! | `pki/src/identity.rs` | `identities` |
//! | `pki/src/certificate.rs`, `pki/src/authority.rs` | `certificates` |
//! | `pki/src/papers.rs` | `papers` |
//! | `pki/src/rotation.rs` | `authorities` |
//! | `consensus/src/raft/record.rs`, `consensus/src/raft/message.rs` | `member_messages`, `logs` |
//! | `consensus/src/raft/image.rs` | `images` |
//! | `consensus/src/group/answers.rs` | – what a leader answers to a member; `versioned` below it |
//! | `coord/src/quorum` | `key_commands`, `key_rows` |
//! | `coord/src/key.rs` | `key_commands`, `key_rows` |
//! | `coord/src/etcd`, `coord/src/consul` | – answers of etcd and Consul |
//! | `agent/src/nodes` | `node_commands`, `node_rows` |
//! | `agent/src/folder.rs` | `node_folders` |
//! | `agent/src/seal.rs` | `sealed_records` |
//! | `agent/src/backup.rs` | `backups` |
//! | `agent/src/messages.rs` | – stored samples; `versioned` below it |
//! | `agent/src/door.rs`, `agent/src/founding.rs` | – the same user's program, or this one's own note |
//! | `catalog/src/machine/command.rs` | `catalog_commands`, `catalog_logs` |
//! | `catalog/src/machine/rows.rs` | `catalog_rows` |
//! | `catalog/src/model` | `acl_rules`, `catalog_requests` |
//! | `catalog/src/http` | `catalog_requests` |
//! | `catalog/src/agent/file.rs` | `registrations` |
//! | `catalog/src/dns` | `dns_questions` |
//! | `catalog/src/checks/grpc.rs` | – answers of programs under a gRPC check |
//! | `init/src/wire.rs`, `init/src/command.rs` | – stored samples and random bytes in its own tests: both ends are one program |
//! | `supervise/src/config` | `supervise_files` |
//! | `template/src` | `templates`, `documents` |
//! | `plugin/src/wire`, `plugin/src/server` | `bodies`, `requests` |
//! | `plugin/src/client` | `answers` |
//! | `plugin/src/discovery` | `endpoints` |
//! | `plugin/src/spi` | `tags` |
//! | `plugin/src/fence` | – its own test, of every fault |
//! | `plugin/src/tree` | `paths`, `changes` |
//! | `reconcile/src/intents` | `intent_logs` |
//! | `groups/src/config` | `group_specs` |
//! | `manager/src/options.rs` | `options` |
//! | `manager/src/leader` | `locations`, `leader_files` |
//! | `manager/src/catalog.rs` | `catalogs` |
//! | `manager/src/store` | `stored_documents` |
//! | `providers/src/file` | `file_instances`, `options` |
//! | `providers/src/process` | `process_records`, `process_properties` |
//! | `providers/src/selector` | `selectors` |
//! | `providers/src/simulator` | – a provider for trials |
//! | `flavors/src/vanilla.rs` | `vanilla_settings` |
//! | `flavors/src/combo.rs`, `flavors/src/vars.rs` | – golden cases; `json` below them |
//! | `regrow/src/documents/decode.rs` | `spec_documents` |
//! | `regrow/src` | – what else the command line reads: golden cases |

pub mod memory;
#[doc(hidden)]
pub mod mutate;
mod scratch;
mod shelf;
mod table;
pub mod targets;

pub use table::{TARGETS, Target, find};
