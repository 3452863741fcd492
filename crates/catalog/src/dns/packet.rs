//! Bytes to a question or a refusal, and an answer to bytes that fit.

use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};

use super::Transport;

/// Bytes of a message's head.
const HEAD_BYTES: usize = 12;
/// Most bytes over UDP to a client that does not say what it takes (RFC 1035).
const UDP_BYTES: u16 = 512;
/// Most bytes over UDP to any client; told to it as what we take, too.
pub(super) const UDP_BYTES_MAX: u16 = 4096;
/// Most records beside the question that a question may have: extensions, a signature, and more
/// than anybody sends. More are not even decoded.
const RECORDS_MAX: u16 = 16;
/// Most records of an answer that are considered: no more of the smallest fit in any message.
const ANSWERS_MAX: usize = 4096;

/// What a packet is.
pub(super) enum Received {
    /// Nothing that should be answered: too short, or an answer itself.
    Drop,
    /// Something that is not carried out; the reply says why.
    Refused(Vec<u8>),
    /// A question.
    Asked(Asked),
}

/// A question.
pub(super) struct Asked {
    metadata: Metadata,
    query: Query,
    /// How many bytes the client takes over UDP, where it says so.
    takes: Option<u16>,
}

impl Asked {
    /// The name, as it was written.
    pub fn name(&self) -> &Name {
        &self.query.name
    }

    /// Whether the client wants others to be asked.
    pub fn wants_recursion(&self) -> bool {
        self.metadata.recursion_desired
    }

    /// A question for the same records of another name.
    pub fn about(&self, name: Name) -> Option<Vec<u8>> {
        let mut message = Message::new(0, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(name, self.kind()));
        message.edns = Some(extensions());
        message.to_vec().ok()
    }

    /// The type of the records.
    pub fn kind(&self) -> RecordType {
        self.query.query_type
    }
}

/// A record of an answer, and the addresses that belong to it.
pub(super) struct Entry {
    pub record: Record,
    /// Those that no entry before this one has.
    pub extra: Vec<Record>,
}

/// An answer, before it is known how much of it fits.
pub(super) struct Sections {
    pub code: ResponseCode,
    /// Whether we decide about the name.
    pub authoritative: bool,
    /// Whether others can be asked here.
    pub recursion: bool,
    pub entries: Vec<Entry>,
    pub authorities: Vec<Record>,
}

impl Sections {
    /// An answer that decides nothing about the name.
    pub fn refusal(code: ResponseCode) -> Self {
        Self {
            code,
            authoritative: false,
            recursion: false,
            entries: Vec::new(),
            authorities: Vec::new(),
        }
    }

    /// Whether the name is not ours to know.
    pub fn is_foreign(&self) -> bool {
        !self.authoritative && self.code == ResponseCode::Refused
    }
}

fn extensions() -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_BYTES_MAX);
    edns
}

/// Reads a packet.
pub(super) fn receive(packet: &[u8]) -> Received {
    let Some(head) = packet.first_chunk::<HEAD_BYTES>() else { return Received::Drop };
    let count = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    if head[2] & 0x80 != 0 {
        return Received::Drop;
    }
    let op_code = OpCode::from_u8((head[2] >> 3) & 0x0f);
    if op_code != OpCode::Query {
        return refused(count(0), op_code, ResponseCode::NotImp);
    }
    let beside = u32::from(count(6)) + u32::from(count(8)) + u32::from(count(10));
    if count(4) != 1 || beside > u32::from(RECORDS_MAX) {
        return refused(count(0), op_code, ResponseCode::FormErr);
    }
    match Message::from_vec(packet) {
        Ok(message) => question(message),
        Err(_) => refused(count(0), op_code, ResponseCode::FormErr),
    }
}

fn question(message: Message) -> Received {
    let edns = message.edns.as_ref();
    let takes = edns.map(Edns::max_payload);
    let newer = edns.is_some_and(|edns| edns.version() > 0);
    let metadata = message.metadata;
    let Some(query) = message.queries.into_iter().next() else { return Received::Drop };
    let asked = Asked { metadata, query, takes };
    let code = match (asked.query.query_class, asked.query.query_type) {
        _ if newer => ResponseCode::BADVERS,
        (_, RecordType::AXFR | RecordType::IXFR) => ResponseCode::NotImp,
        (DNSClass::IN | DNSClass::ANY, _) => return Received::Asked(asked),
        _ => ResponseCode::Refused,
    };
    match send(&asked, &Sections::refusal(code), Transport::Tcp, 0) {
        Some(reply) => Received::Refused(reply),
        None => Received::Drop,
    }
}

/// A reply to something of which only the head is understood.
fn refused(id: u16, op_code: OpCode, code: ResponseCode) -> Received {
    let reply = Message::error_msg(id, op_code, code);
    reply.to_vec().map_or(Received::Drop, Received::Refused)
}

/// Most bytes over UDP to who asked.
fn udp_bytes(asked: &Asked) -> u16 {
    asked.takes.unwrap_or(UDP_BYTES).clamp(UDP_BYTES, UDP_BYTES_MAX)
}

/// Whether a message fits, which somebody else made.
pub(super) fn fits(asked: &Asked, message: &[u8], transport: Transport) -> bool {
    transport == Transport::Tcp || message.len() <= usize::from(udp_bytes(asked))
}

/// The bytes of an answer: as many records as fit, each with its addresses, and marked as cut where
/// some do not. `None` where the question itself cannot be written again.
pub(super) fn send(
    asked: &Asked,
    sections: &Sections,
    transport: Transport,
    udp_answer_limit: usize,
) -> Option<Vec<u8>> {
    let (bytes, records) = match transport {
        Transport::Tcp => (u16::MAX, ANSWERS_MAX),
        Transport::Udp => match udp_bytes(asked) {
            UDP_BYTES => (UDP_BYTES, udp_answer_limit),
            bytes => (bytes, ANSWERS_MAX),
        },
    };
    let all = sections.entries.len();
    let writer = Writer { asked, sections, bytes: usize::from(bytes) };
    let most = all.min(records);
    if let Some(whole) = writer.write(most, true) {
        return Some(whole);
    }
    // The largest number that fits is between these.
    let (mut fits, mut fitting, mut too_many) = (0, None, most);
    while too_many - fits > 1 {
        let middle = fits + (too_many - fits) / 2;
        match writer.write(middle, true) {
            Some(written) => (fits, fitting) = (middle, Some(written)),
            None => too_many = middle,
        }
    }
    // The addresses of a single record may be what is too much.
    fitting.or_else(|| writer.write(1.min(most), false)).or_else(|| writer.write(0, false))
}

struct Writer<'a> {
    asked: &'a Asked,
    sections: &'a Sections,
    bytes: usize,
}

impl Writer<'_> {
    /// The message with the first `count` records, if it fits.
    fn write(&self, count: usize, extras: bool) -> Option<Vec<u8>> {
        let Self { asked, sections, bytes } = self;
        let taken = sections.entries.get(..count)?;
        let left_out = !extras && taken.iter().any(|entry| !entry.extra.is_empty());
        let mut message =
            Message::new(asked.metadata.id, MessageType::Response, asked.metadata.op_code);
        message.metadata.recursion_desired = asked.metadata.recursion_desired;
        message.metadata.recursion_available = sections.recursion;
        message.metadata.authoritative = sections.authoritative;
        message.metadata.response_code = sections.code;
        message.metadata.truncation = count < sections.entries.len() || left_out;
        message.queries = vec![asked.query.clone()];
        message.answers = taken.iter().map(|entry| entry.record.clone()).collect();
        message.authorities.clone_from(&sections.authorities);
        if extras {
            message.additionals =
                taken.iter().flat_map(|entry| entry.extra.iter().cloned()).collect();
        }
        message.edns = asked.takes.map(|_| extensions());
        let written = message.to_vec().ok()?;
        // The encoder cuts what is beyond the largest message.
        let kept = |at| Some(usize::from(u16::from_be_bytes(*written.get(at..)?.first_chunk()?)));
        let beside = message.additionals.len() + usize::from(message.edns.is_some());
        let whole = kept(6) == Some(message.answers.len()) && kept(10) == Some(beside);
        (written.len() <= *bytes && whole).then_some(written)
    }
}
