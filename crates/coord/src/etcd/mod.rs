//! The backend on etcd 3.4 and newer, through its JSON gateway.
//!
//! Keys are kept under a prefix of etcd's. What others put under it, and what would be no valid
//! [`Key`](crate::Key), is not shown. Users with passwords are not supported: etcd is reached in the
//! clear on trusted networks, or over TLS. The gateway cannot tell users by their certificates.
//!
//! etcd knows lease times in seconds and looks for ended leases twice a second, so short leases end
//! up to a second late.

mod messages;
mod watch;

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use regrow_ids::Revision;
use reqwest::{Client, RequestBuilder};
use rustls::ClientConfig;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::coordinator::{Capabilities, Coordinator, Events, Limits};
use crate::entry::{Listing, Query};
use crate::error::{CoordError, Invalid, WatchError};
use crate::etcd::messages::{
    Fault, LeaseAnswer, Names, RangeAnswer, Streamed, TxnAnswer, found, parse,
};
use crate::etcd::watch::{Assembler, Incoming};
use crate::http::{Answer, Build, Failure, Http};
use crate::key::{Prefix, Span};
use crate::lease::{Lease, LeaseId};
use crate::txn::{Txn, TxnReply, Write};
use crate::watch::Watch;

/// What an etcd backend needs to know.
#[derive(Clone, Debug)]
pub struct EtcdSettings {
    /// Base URLs of the members, as `http://HOST:2379`. They are tried in turn.
    pub endpoints: Vec<String>,
    /// What all keys begin with in etcd.
    pub prefix: Prefix,
    /// How long a call may take.
    pub deadline: Duration,
    /// Whom to trust and as whom to come, for `https` members.
    pub tls: Option<ClientConfig>,
}

/// A coordinator on an etcd cluster.
pub struct Etcd {
    http: Http,
    names: Names,
    deadline: Duration,
}

/// gRPC's statuses, as far as they are told apart here.
mod status {
    pub const NOT_FOUND: i64 = 5;
    /// What was asked for is not done for a reason that lies in the request or the rights.
    pub const REFUSED: [i64; 7] = [3, 7, 8, 9, 11, 12, 16];
}

impl Etcd {
    /// A coordinator on the cluster of some members. Sends nothing yet.
    ///
    /// # Errors
    /// The settings are wrong.
    pub fn new(settings: EtcdSettings) -> Result<Self, Invalid> {
        let EtcdSettings { endpoints, prefix, deadline, tls } = settings;
        let http = Http::new("etcd", &endpoints, tls, deadline)?;
        Ok(Self { http, names: Names { lead: prefix.into() }, deadline })
    }

    async fn read<T: DeserializeOwned>(
        &self,
        doing: &'static str,
        path: &str,
        body: &Value,
    ) -> Result<T, CoordError> {
        let answer = self.http.ask(post(path, body)).await;
        let answer = answer.map_err(|failure| failure.of_read(doing))?;
        checked(&answer).map_err(|fault| of_fault(doing, fault, false))?;
        parse(&answer.body).map_err(|reason| CoordError::Unavailable { doing, reason })
    }

    async fn write<T: DeserializeOwned>(
        &self,
        doing: &'static str,
        path: &str,
        body: &Value,
    ) -> Result<T, WriteFault> {
        let answer = self.http.ask(post(path, body)).await;
        let answer = answer.map_err(|failure| failure.of_write(doing))?;
        checked(&answer).map_err(|fault| WriteFault::of(doing, fault))?;
        parse(&answer.body)
            .map_err(|reason| WriteFault::Other(CoordError::Unknown { doing, reason }))
    }
}

/// Why a write was not done.
enum WriteFault {
    /// There is no such lease.
    NoLease,
    Other(CoordError),
}

impl From<CoordError> for WriteFault {
    fn from(error: CoordError) -> Self {
        Self::Other(error)
    }
}

impl WriteFault {
    fn of(doing: &'static str, fault: Fault) -> Self {
        if fault.code == status::NOT_FOUND && fault.message.contains("lease not found") {
            return Self::NoLease;
        }
        Self::Other(of_fault(doing, fault, true))
    }

    fn error(self, doing: &'static str, lease: LeaseId) -> CoordError {
        match self {
            Self::NoLease => CoordError::UnknownLease { doing, lease },
            Self::Other(error) => error,
        }
    }
}

fn post<'b>(path: &'b str, body: &'b Value) -> impl Build + 'b {
    move |client: &Client, server: &str| -> RequestBuilder {
        client
            .post(format!("{server}{path}"))
            // A member that lost its leader ends streams instead of going silent.
            .header("Grpc-Metadata-hasleader", "true")
            .json(body)
    }
}

fn checked(answer: &Answer) -> Result<(), Fault> {
    if answer.status.is_success() {
        return Ok(());
    }
    let parsed: Option<Fault> = serde_json::from_slice(&answer.body).ok();
    let unread = || {
        let text: String = String::from_utf8_lossy(&answer.body).chars().take(200).collect();
        Fault { code: 0, message: format!("HTTP {}: {text}", answer.status) }
    };
    Err(parsed.unwrap_or_else(unread))
}

fn of_fault(doing: &'static str, fault: Fault, write: bool) -> CoordError {
    let reason = fault.message;
    let busy = reason.contains("too many requests");
    if status::REFUSED.contains(&fault.code) && !busy {
        CoordError::Refused { doing, reason }
    } else if write && !busy {
        CoordError::Unknown { doing, reason }
    } else {
        CoordError::Unavailable { doing, reason }
    }
}

/// The leases that a transaction names.
fn leases(txn: &Txn) -> impl Iterator<Item = LeaseId> {
    [&txn.then, &txn.otherwise].into_iter().flat_map(|branch| &branch.writes).filter_map(|write| {
        match write {
            Write::Put { lease, .. } => *lease,
            Write::Delete(_) | Write::DeletePrefix(_) => None,
        }
    })
}

fn number(doing: &'static str, lease: LeaseId) -> Result<String, CoordError> {
    // etcd's leases are positive 64-bit numbers; any other is nobody's.
    match i64::try_from(lease.get()) {
        Ok(number) if number > 0 => Ok(number.to_string()),
        _ => Err(CoordError::UnknownLease { doing, lease }),
    }
}

fn lease_of(answer: &LeaseAnswer) -> Lease {
    Lease { id: LeaseId::new(u128::from(answer.id)), ttl: Duration::from_secs(answer.ttl) }
}

#[async_trait]
impl Coordinator for Etcd {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "etcd",
            limits: Limits::LARGEST,
            events: Events::Every,
            lease_tenths: 20,
        }
    }

    async fn range(&self, query: &Query) -> Result<Listing, CoordError> {
        query.check()?;
        let body = self.names.query(query);
        let answer: RangeAnswer = self.read("read keys", "/v3/kv/range", &body).await?;
        let entries = answer.kvs.into_iter().filter_map(|pair| self.names.entry(pair)).collect();
        let revision = Revision::new(answer.header.revision);
        Ok(Listing { entries, more: answer.more, revision })
    }

    async fn transact(&self, txn: &Txn) -> Result<TxnReply, CoordError> {
        const DOING: &str = "execute transaction";
        txn.check(&Limits::LARGEST)?;
        let (count, limit) = (Names::operations(txn), Limits::LARGEST.operations);
        if count > limit {
            return Err(Invalid::Transaction { what: "operations", count, limit }.into());
        }
        for lease in leases(txn) {
            number(DOING, lease)?;
        }
        let body = self.names.txn(txn);
        let written = self.write(DOING, "/v3/kv/txn", &body).await;
        let answer: TxnAnswer = written
            .map_err(|fault| fault.error(DOING, leases(txn).next().unwrap_or(LeaseId::new(0))))?;
        let branch = if answer.succeeded { &txn.then } else { &txn.otherwise };
        let reads = answer.responses.into_iter().take(branch.reads.len());
        Ok(TxnReply {
            succeeded: answer.succeeded,
            revision: Revision::new(answer.header.revision),
            found: reads.map(|one| found(&self.names, one)).collect(),
        })
    }

    async fn watch(&self, span: &Span, from: Revision) -> Result<Watch, CoordError> {
        const DOING: &str = "open watch";
        let body = self.names.watch(span, from);
        let opened = self.http.open(post("/v3/watch", &body)).await;
        let response = opened.map_err(|failure| failure.of_read(DOING))?;
        if !response.status().is_success() {
            let reason = format!("etcd answered {}", response.status());
            return Err(CoordError::Unavailable { doing: DOING, reason });
        }
        let mut incoming = Incoming::new(response, Assembler::new(self.names.clone(), from));
        let created = tokio::time::timeout(self.deadline, incoming.created()).await;
        let late = format!("no answer within {:?}", self.deadline);
        match created.map_err(|_| CoordError::Unavailable { doing: DOING, reason: late })? {
            Ok(()) => Ok(Watch::new(incoming.batches().boxed())),
            Err(WatchError::Lost { reason }) => {
                Err(CoordError::Unavailable { doing: DOING, reason })
            }
            Err(error) => Ok(Watch::new(futures::stream::iter([Err(error)]).boxed())),
        }
    }

    async fn grant(&self, ttl: Duration) -> Result<Lease, CoordError> {
        const DOING: &str = "grant lease";
        Limits::LARGEST.check_ttl(ttl)?;
        let seconds = ttl.as_nanos().div_ceil(1_000_000_000);
        let body = json!({"TTL": seconds.to_string()});
        let granted = self.write(DOING, "/v3/lease/grant", &body).await;
        let answer: LeaseAnswer = granted.map_err(|fault| fault.error(DOING, LeaseId::new(0)))?;
        Ok(lease_of(&answer))
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<Lease, CoordError> {
        const DOING: &str = "renew lease";
        let body = json!({"ID": number(DOING, lease)?});
        let renewed = self.write(DOING, "/v3/lease/keepalive", &body).await;
        let streamed: Streamed<LeaseAnswer> = renewed.map_err(|fault| fault.error(DOING, lease))?;
        match (streamed.result, streamed.error) {
            (Some(answer), _) if answer.ttl > 0 => Ok(lease_of(&answer)),
            (Some(_), _) => Err(CoordError::UnknownLease { doing: DOING, lease }),
            (None, fault) => {
                let reason = fault.map_or_else(|| "no result".into(), |fault| fault.message);
                Err(Failure::NoAnswer(reason).of_write(DOING))
            }
        }
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), CoordError> {
        const DOING: &str = "revoke lease";
        let Ok(id) = number(DOING, lease) else { return Ok(()) };
        let body = json!({"ID": id});
        match self.write::<Value>(DOING, "/v3/lease/revoke", &body).await {
            Ok(_) | Err(WriteFault::NoLease) => Ok(()),
            Err(WriteFault::Other(error)) => Err(error),
        }
    }
}
