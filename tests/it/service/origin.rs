//! The origin: the small social network of the demo, behind TLS with a root of its own, on a runtime of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use muniment::app::SystemClock;
use muniment::app::demo::certificate::Identity;
use muniment::app::demo::network::{Member, Network, Status};
use tokio::runtime::Runtime;

/// The name the origin is reached by.
pub(crate) const HOST: &str = "social.test";
/// The bearer token of its one member, a secret that must be stored nowhere.
pub(crate) const TOKEN: &str = "planted-bearer-token-of-ada";

pub(crate) struct Origin {
    runtime: Option<Runtime>,
    network: Option<Network>,
    root: String,
}

impl Origin {
    pub(crate) fn start() -> Self {
        // On a thread of its own: a test may be in a runtime, which another one may not be driven from.
        std::thread::spawn(Self::start_here).join().unwrap()
    }

    fn start_here() -> Self {
        let identity = Identity::fresh(HOST).unwrap();
        let member = Member { id: "1".to_owned(), handle: "ada".to_owned(), display_name: "Ada".to_owned() };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let members = vec![(TOKEN.to_owned(), member)];
        let start = Network::start(HOST, members, identity.server, Arc::new(SystemClock), 0);
        let network = runtime.block_on(start).unwrap();
        Self { runtime: Some(runtime), network: Some(network), root: identity.root }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.network.as_ref().unwrap().address()
    }

    /// Where devices post to.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{HOST}:{}{path}", self.address().port())
    }

    pub(crate) fn root_pem(&self) -> &str {
        &self.root
    }

    /// Everything it accepted.
    pub(crate) fn statuses(&self) -> Vec<Status> {
        self.network.as_ref().unwrap().statuses()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if let (Some(runtime), Some(network)) = (self.runtime.take(), self.network.take()) {
            // Whatever it says at its end, the test has said more.
            let _ended = std::thread::spawn(move || runtime.block_on(network.stop())).join();
        }
    }
}
