//! Processes of the bench, and what the system says they cost.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process of ours that dies with us.
pub struct Process {
    child: Child,
    pub port: u16,
}

impl Process {
    /// One of this binary, which prints its port when it is ready.
    pub fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(arguments)
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap_or_else(|_| panic!("{arguments:?} did not start")) }
    }

    /// Of another program, once it takes connections at its port.
    pub fn listening(command: &mut Command, port: u16) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
        let process = Self { child, port };
        let mut waited = 0;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(waited < 600, "{command:?} does not start");
            waited += 1;
            std::thread::sleep(Duration::from_millis(100));
        }
        process
    }

    /// User and system time so far, of it and of all its descendants (a database, workers).
    pub fn cpu(&self) -> Duration {
        let mut known: BTreeMap<u32, (u32, u64)> = BTreeMap::new();
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let Some(id) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let Ok(stat) = fs::read_to_string(process.path().join("stat")) else { continue };
            let Some((_name, rest)) = stat.rsplit_once(')') else { continue };
            let fields: Vec<u64> = rest.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
            // Its parent; its own time and that of children that have ended.
            known.insert(id, (fields[1] as u32, fields[11..15].iter().sum()));
        }
        let us = self.child.id();
        let is_ours = |mut id: u32| {
            while id > 1 && id != us {
                id = known.get(&id).map_or(0, |(parent, _)| *parent);
            }
            id == us
        };
        let ticks: u64 = known.iter().filter(|(id, _)| is_ours(**id)).map(|(_, (_, ticks))| ticks).sum();
        // USER_HZ is 100 wherever Linux runs.
        Duration::from_millis(ticks * 10)
    }

    /// Waits until it has nothing left to do, for at most a minute; answers with how long that took.
    pub fn settle(&self) -> Duration {
        const LOOK: Duration = Duration::from_millis(250);
        /// What it does when it has nothing to do, in a look.
        const IDLE: Duration = Duration::from_millis(20);
        let begun = Instant::now();
        let mut before = self.cpu();
        for _ in 0..240 {
            std::thread::sleep(LOOK);
            let now = self.cpu();
            if now.saturating_sub(before) <= IDLE {
                break;
            }
            before = now;
        }
        begun.elapsed().saturating_sub(LOOK)
    }

    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Lets it end by itself.
    pub fn stop(&mut self) {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status();
        for _ in 0..200 {
            if sent.is_err() || self.child.try_wait().unwrap().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
