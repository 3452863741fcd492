//! A worker that does what a test says: one line each way over the unix socket named by `PUPPET`.
//! With arguments it is one of the jobs that tests start instead (`jobs.rs`).
#![expect(clippy::expect_used, reason = "a puppet that fails fails its test")]

mod jobs;

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use regrow_init::{Channel, Command, Ended, ProcessId, Reply, Request, Streams};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.is_empty() {
        return jobs::run(&arguments);
    }
    let channel = regrow_init::split().expect("split");
    let line = UnixStream::connect(std::env::var_os("PUPPET").expect("PUPPET")).expect("connect");
    let lines = BufReader::new(line.try_clone().expect("clone"));
    let mut puppet = Puppet { channel, line, lines, state: None };
    puppet.tell(&format!("worker {}", std::process::id()));
    while puppet.turn() {}
}

struct Puppet {
    channel: Channel,
    line: UnixStream,
    lines: BufReader<UnixStream>,
    state: Option<std::fs::File>,
}

impl Puppet {
    fn tell(&mut self, what: &str) {
        writeln!(self.line, "{what}").expect("tell the test");
    }

    fn heard(&self) -> Option<Reply> {
        let waits = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
        self.channel
            .recv()
            .map(Some)
            .or_else(|e| if waits(&e) { Ok(None) } else { Err(e) })
            .expect("init lives")
    }

    /// Waits for the test or init and passes on what came; false when the test is gone.
    fn turn(&mut self) -> bool {
        let [test, init] = wait([(&self.line, libc::POLLIN), (&self.channel, libc::POLLIN)]);
        while init && let Some(reply) = self.heard() {
            let text = self.describe(reply);
            self.tell(&text);
        }
        if test {
            let mut text = String::new();
            if self.lines.read_line(&mut text).expect("hear the test") == 0 {
                return false;
            }
            self.obey(&text.split_whitespace().collect::<Vec<_>>());
            while !self.lines.buffer().is_empty() {
                let mut text = String::new();
                self.lines.read_line(&mut text).expect("hear the test");
                self.obey(&text.split_whitespace().collect::<Vec<_>>());
            }
        }
        true
    }

    fn describe(&mut self, reply: Reply) -> String {
        match reply {
            Reply::Process { process, pid, streams } => {
                let text = streams.map_or("own".to_owned(), read_streams);
                format!("process {} {pid} {text}", process.0)
            }
            Reply::Ended { process, how } => match how {
                Ended::Code(code) => format!("ended {} code {code}", process.0),
                Ended::Signal(signal) => format!("ended {} signal {signal}", process.0),
                Ended::NotStarted(errno) => format!("ended {} errno {errno}", process.0),
            },
            Reply::Ready { state, predecessors } => {
                self.state = Some(state.into());
                format!("ready {predecessors}")
            }
            Reply::Signal(signal) => format!("signal {signal}"),
        }
    }

    fn say(&mut self, request: &Request) {
        while let Err(error) = self.channel.send(request) {
            assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
            wait([(&self.channel, libc::POLLOUT)]);
        }
    }

    fn say_bytes(&mut self, bytes: &[u8]) {
        let socket = self.channel.as_fd().as_raw_fd();
        // SAFETY: so many bytes may be read there.
        while unsafe { libc::send(socket, bytes.as_ptr().cast(), bytes.len(), 0) } < 0 {
            wait([(&self.channel, libc::POLLOUT)]);
        }
    }

    fn obey(&mut self, words: &[&str]) {
        let number = |at: usize| words[at].parse::<u64>().expect("a number");
        let process = || ProcessId(number(1));
        let request = match words[0] {
            "hello" => Request::Hello,
            "start" => {
                let (wrapped, command) = (words[2] == "wrapped", command(&words[3..]));
                Request::Start { process: process(), wrapped, command }
            }
            "kill" => Request::Signal { process: process(), signal: number(2) as i32 },
            "forget" => Request::Forget(process()),
            "drained" => Request::Drained(process()),
            "took" => Request::Took(number(1) as i32),
            "bye" => {
                self.say(&Request::Bye(number(1) as i32));
                std::process::exit(0);
            }
            "hang" => {
                self.say(&Request::Bye(number(1) as i32));
                loop {
                    std::thread::park();
                }
            }
            "deaf" => {
                // SAFETY: closes the descriptor of the channel, which is not used again.
                unsafe { libc::close(self.channel.as_fd().as_raw_fd()) };
                loop {
                    std::thread::park();
                }
            }
            "raw" => {
                let byte = |at: usize| u8::from_str_radix(&words[1][at..at + 2], 16).expect("hex");
                let bytes: Vec<u8> = (0..words[1].len()).step_by(2).map(byte).collect();
                return self.say_bytes(&bytes);
            }
            "exit" => std::process::exit(number(1) as i32),
            "remember" => {
                let state = self.state.as_ref().expect("after hello");
                return state.write_all_at(words[1].as_bytes(), 0).expect("remember");
            }
            "recall" => {
                let mut bytes = [0; 64];
                let state = self.state.as_ref().expect("after hello");
                let size = state.read_at(&mut bytes, 0).expect("recall");
                return self.tell(&String::from_utf8_lossy(&bytes[..size]));
            }
            other => panic!("what is {other}?"),
        };
        self.say(&request);
    }
}

/// Waits until one of them is ready; which are.
fn wait<const N: usize>(files: [(&dyn AsFd, i16); N]) -> [bool; N] {
    let mut files = files.map(|(file, events)| libc::pollfd {
        fd: file.as_fd().as_raw_fd(),
        events,
        revents: 0,
    });
    // SAFETY: so many entries, alive over the call.
    let ready = unsafe { libc::poll(files.as_mut_ptr(), N as libc::nfds_t, -1) };
    assert!(ready > 0, "poll");
    files.map(|file| file.revents != 0)
}

fn command(words: &[&str]) -> OwnedFd {
    let arguments: Vec<String> = words.iter().map(|word| word.replace('\u{1}', " ")).collect();
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let command = Command {
        arguments: arguments.iter().map(OsStr::new).collect(),
        environment: environment.iter().map(|(name, value)| (&**name, &**value)).collect(),
        directory: Path::new("/"),
    };
    command.encode().expect("encode")
}

/// What is in both pipes now.
fn read_streams(streams: Streams) -> String {
    let read = |pipe: &OwnedFd| {
        let mut bytes = [0; 256];
        match std::fs::File::from(pipe.try_clone().expect("clone")).read(&mut bytes) {
            Ok(size) => format!("[{}]", String::from_utf8_lossy(&bytes[..size]).trim_end()),
            Err(_) => "[-]".to_owned(),
        }
    };
    format!("{}{}", read(&streams.out.pipe), read(&streams.err.pipe))
}
