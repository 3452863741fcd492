use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Result of a load run, printed as `calls p50_us p99_us`.
pub struct Load {
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
}

/// Runs load from a process of its own.
pub fn measure(socket: &str, connections: usize, seconds: u64) -> Result<Load> {
    let own = std::env::current_exe()?;
    let output = std::process::Command::new(own)
        .args(["--load", socket, &connections.to_string(), &seconds.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let [calls, p50, p99] = numbers[..] else {
        anyhow::bail!("load: {}", String::from_utf8_lossy(&output.stderr));
    };
    let micros = |n: f64| Duration::from_secs_f64(n / 1e6);
    Ok(Load { per_second: calls / seconds as f64, p50: micros(p50), p99: micros(p99) })
}

/// Calls `Instance.DescribeInstances` without properties as fast as it answers.
pub async fn run(arguments: Vec<String>) -> Result<()> {
    let [socket, connections, seconds] = &arguments[..] else { anyhow::bail!("usage") };
    let (connections, seconds): (usize, u64) = (connections.parse()?, seconds.parse()?);
    let calls = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + Duration::from_secs(seconds);
    let tasks: Vec<_> = (0..connections)
        .map(|_| tokio::spawn(one(socket.clone(), end, Arc::clone(&calls))))
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(0);
    println!("{} {} {}", calls.load(Ordering::Relaxed), at(0.5), at(0.99));
    Ok(())
}

async fn one(socket: String, end: Instant, calls: Arc<AtomicU64>) -> Result<Vec<u64>> {
    let body = r#"{"jsonrpc":"2.0","method":"Instance.DescribeInstances","params":{"Type":"compute","Tags":null,"Properties":false},"id":7}"#;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = UnixStream::connect(&socket).await?;
    let mut buffer = vec![0u8; 1 << 20];
    let mut times = Vec::new();
    while Instant::now() < end {
        let began = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        read_answer(&mut stream, &mut buffer).await?;
        times.push(u64::try_from(began.elapsed().as_micros())?);
        calls.fetch_add(1, Ordering::Relaxed);
    }
    Ok(times)
}

/// Reads one answer with a `Content-Length`, without looking into its body.
async fn read_answer(stream: &mut UnixStream, buffer: &mut [u8]) -> Result<()> {
    let mut have = stream.read(buffer).await?;
    let head = loop {
        if let Some(at) = find(&buffer[..have], b"\r\n\r\n") {
            break at + 4;
        }
        have += stream.read(&mut buffer[have..]).await?;
    };
    let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.context("no content-length in the answer")?.trim().parse()?;
    let mut left = (head + length).saturating_sub(have);
    while left > 0 {
        let most = left.min(buffer.len());
        let read = stream.read(&mut buffer[..most]).await?;
        anyhow::ensure!(read > 0, "the answer was cut off");
        left -= read;
    }
    Ok(())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
