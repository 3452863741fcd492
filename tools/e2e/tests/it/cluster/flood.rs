//! A machine without a certificate floods the port of the nodes: with connections that never finish to
//! shake hands, with bytes that come one at a time, with frames that never end. The node that is flooded
//! needs little memory for it, the others are served by it, and nodes that come back are let in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e::net::{Portal, address};
use e2e::{Cluster, Cost, share};
use hyper::{Method, StatusCode};
use regrow_wire::frame::{Head, Kind, VERSIONS};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::{WITHIN, others, three};

/// Connections that are held at the same time, by whoever is let in.
const HELD: usize = 3000;
/// Descriptors of this process: those, and some for everything else.
const DESCRIPTORS: u64 = 4096;
/// Pause before a connection that was hung up on is made again.
const AGAIN: Duration = Duration::from_secs(1);
/// Pause between two bytes.
const DRIP: Duration = Duration::from_millis(200);
/// Connections that are made before the flood counts as one.
const MANY: u64 = 10_000;
/// How long writes are measured, without the flood and under it.
const MEASURED: Duration = Duration::from_secs(8);
/// Memory that the flood may cost the node, in KiB.
const MEMORY_KIB: u64 = 64 << 10;
/// The largest record of TLS: kind, version and length, without what it announces.
const RECORD: &[u8] = &[22, 3, 1, 0x40, 0];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_from_one_machine_costs_little_memory_and_no_node_its_service() -> Result<()> {
    let Some(mut cluster) = three("floods of strangers on real processes").await? else {
        return Ok(());
    };
    more_descriptors()?;
    let victim = cluster.leader().await?;
    let [from, good] = others(&cluster, victim)[..] else { bail!("not three nodes") };
    let calm = writes(&cluster, good).await?;
    let before = Cost::of(cluster.process(victim)?.id())?;
    let began = Instant::now();
    let flood = Flood::start(cluster.net().node(from).portal(), victim)?;
    flood.reaches(&cluster, MANY / 2).await?;
    let flooded = writes(&cluster, good).await?;
    // Whoever comes back has to shake hands beside the flood.
    cluster.crash(good)?;
    cluster.restart(good)?;
    cluster.serving(good).await?;
    flood.reaches(&cluster, MANY).await?;
    let after = Cost::of(cluster.process(victim)?.id())?;
    let made = flood.stop();
    let grown = after.peak_kib.saturating_sub(before.resident_kib);
    let cpu = after.cpu.saturating_sub(before.cpu);
    println!(
        "{made} connections of a stranger in {:?}: the node used {cpu:?} of CPU and grew by {grown} KiB to \
         {} KiB at most; writes through another node, p50 and p99: {:?} without, {:?} under the flood",
        began.elapsed(),
        after.peak_kib,
        [0.5, 0.99].map(|part| share(&calm, part).unwrap_or_default()),
        [0.5, 0.99].map(|part| share(&flooded, part).unwrap_or_default()),
    );
    ensure!(grown <= MEMORY_KIB, "the flood cost {grown} KiB, expected at most {MEMORY_KIB}");
    // From the address of the flood too, once it is over.
    cluster.crash(from)?;
    cluster.restart(from)?;
    cluster.serving(from).await
}

/// A test may hold as many files as its surroundings allow at most.
fn more_descriptors() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.current.map(|now| now.max(DESCRIPTORS));
    setrlimit(Resource::Nofile, limit).context("raise the limit of descriptors")
}

/// Writes through a node, one after the other, each acknowledged.
async fn writes(cluster: &Cluster, at: usize) -> Result<Vec<Duration>> {
    let (mut http, mut times, began) = (cluster.http(at), Vec::new(), Instant::now());
    while began.elapsed() < MEASURED {
        let sent = Instant::now();
        // Another leader on a busy machine is no failure; the time it takes counts.
        let answer = http.settled(Method::PUT, "/v1/kv/good", "x", WITHIN).await?;
        ensure!(answer.status == StatusCode::OK, "{}: {}", answer.status, answer.text());
        times.push(sent.elapsed());
    }
    Ok(times)
}

/// Connections of somebody without a certificate, made again and again.
struct Flood {
    made: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

/// What is done on a connection.
#[derive(Clone, Copy)]
enum Trick {
    /// Nothing at all.
    Silence,
    /// The largest record of TLS, byte for byte.
    Drip,
    /// TLS and hellos, then the largest request of a stranger, byte for byte.
    EndlessFrame,
}

impl Flood {
    fn start(portal: &Portal, victim: usize) -> Result<Self> {
        let (made, tls) = (Arc::<AtomicU64>::default(), believing()?);
        let mut tasks = JoinSet::new();
        for trick in
            [Trick::Silence, Trick::Drip, Trick::EndlessFrame].into_iter().cycle().take(HELD)
        {
            let (portal, tls, made) = (portal.clone(), tls.clone(), Arc::clone(&made));
            tasks.spawn(async move {
                loop {
                    if let Ok(stream) = portal.connect((address(victim), 7400).into()).await {
                        made.fetch_add(1, Ordering::Relaxed);
                        // However it ends: it is made again.
                        let _ = trick.play(stream, &tls).await;
                    }
                    tokio::time::sleep(AGAIN).await;
                }
            });
        }
        Ok(Self { made, _tasks: tasks })
    }

    async fn reaches(&self, cluster: &Cluster, many: u64) -> Result<()> {
        cluster
            .until("connections are made", async || self.made.load(Ordering::Relaxed) >= many)
            .await
    }

    /// Ends it; returns how many connections there were.
    fn stop(self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }
}

impl Trick {
    async fn play(self, mut stream: TcpStream, tls: &TlsConnector) -> Result<()> {
        match self {
            Self::Silence => {
                stream.read_u8().await?;
                Ok(())
            }
            Self::Drip => {
                stream.write_all(RECORD).await?;
                drip(stream).await
            }
            Self::EndlessFrame => {
                let mut stream = tls.connect(ServerName::try_from("anything")?, stream).await?;
                let hello = VERSIONS.encode();
                let head = Head::new(Kind::Hello, 0, u32::try_from(hello.len())?);
                stream.write_all(&[&head.encode()[..], &hello].concat()).await?;
                let join = regrow_wire::Method::Join.row();
                let request = Head {
                    kind: Kind::Request,
                    method: join.number,
                    request: 1,
                    deadline_ms: 60_000,
                    size: join.request_limit,
                };
                stream.write_all(&request.encode()).await?;
                drip(stream).await
            }
        }
    }
}

/// Sends a byte now and then until the other side has hung up.
async fn drip(stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<()> {
    let (mut read, mut write) = tokio::io::split(stream);
    let mut sink = [0; 1024];
    loop {
        tokio::select! {
            found = read.read(&mut sink) => ensure!(found? > 0, "hung up"),
            () = tokio::time::sleep(DRIP) => write.write_all(b"x").await?,
        }
        write.flush().await?;
    }
}

fn believing() -> Result<TlsConnector> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Believe))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Believes every server.
#[derive(Debug)]
struct Believe;

impl ServerCertVerifier for Believe {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
