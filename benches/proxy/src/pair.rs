//! muniment's proxy and a peer beside each other, before one origin.

use std::path::{Path, PathBuf};

use crate::load::{Ask, Load};
use crate::process::Process;
use crate::{Protocol, SPAN};

pub struct Pair {
    protocol: Protocol,
    origin: Process,
    sides: [Side; 2],
}

/// A proxy.
pub struct Side {
    pub name: &'static str,
    pub process: Process,
    /// Certificate of its CA.
    pub ca: PathBuf,
}

impl Pair {
    /// Our own proxy first.
    pub fn start(directory: &Path, protocol: Protocol, sides: impl FnOnce(&Process) -> [Side; 2]) -> Self {
        let origin = Process::start(&["origin", directory.to_str().unwrap(), protocol.name()]);
        let sides = sides(&origin);
        Self { protocol, origin, sides }
    }

    pub fn with_hudsucker(directory: &Path, protocol: Protocol) -> Self {
        Self::start(directory, protocol, |origin| [muniment(directory, origin), hudsucker(directory, origin)])
    }

    pub fn sides(&self) -> &[Side; 2] {
        &self.sides
    }

    /// What is asked of them, but for which.
    pub fn load(&self) -> Load {
        load(self.origin.port, self.protocol)
    }

    /// So many measurements of each, in turns.
    pub fn rounds<T>(&self, rounds: usize, once: impl Fn(&Side) -> T) -> [Vec<T>; 2] {
        let mut all = [Vec::new(), Vec::new()];
        for round in 0..=rounds {
            // The first round only warms up. Who goes first changes, so that nobody is always the second.
            for turn in 0..2 {
                let which = (turn + round) % 2;
                let measured = once(&self.sides[which]);
                if round > 0 {
                    all[which].push(measured);
                }
            }
        }
        all
    }
}

/// What is asked of an origin through a proxy, but for which: one connection, a kilobyte.
pub fn load(origin: u16, protocol: Protocol) -> Load {
    Load { proxy: 0, origin, protocol, ask: Ask::Get(1 << 10), connections: 1, span: SPAN, login: "bench:bench".into() }
}

/// With everything that a GET passes in service.
pub fn muniment(directory: &Path, origin: &Process) -> Side {
    ours("muniment", directory, origin)
}

/// With no host on the list of those that are intercepted.
pub fn muniment_tunnel(directory: &Path, origin: &Process) -> Side {
    ours("muniment-tunnel", directory, origin)
}

fn ours(how: &str, directory: &Path, origin: &Process) -> Side {
    let process = Process::start(&[how, directory.to_str().unwrap(), &format!("127.0.0.1:{}", origin.port)]);
    Side { name: "muniment", process, ca: directory.join("muniment.pem") }
}

pub fn hudsucker(directory: &Path, origin: &Process) -> Side {
    let process = Process::start(&["hudsucker", directory.to_str().unwrap(), &origin.port.to_string()]);
    Side { name: "hudsucker", process, ca: directory.join("hudsucker.pem") }
}
