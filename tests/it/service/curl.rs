//! curl, a real HTTP client, with its answer taken apart.

use std::process::Command;

use serde_json::Value;

/// A curl command being put together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Curl {
    arguments: Vec<String>,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Curl {
    pub(crate) fn new() -> Self {
        Self::default()
            .flag("--silent")
            .flag("--show-error")
            .flag("--include")
            .option("--max-time", "30")
            // What the proxy itself says to CONNECT is not part of the answer.
            .flag("--suppress-connect-headers")
    }

    pub(crate) fn flag(mut self, name: &str) -> Self {
        self.arguments.push(name.to_owned());
        self
    }

    pub(crate) fn option(self, name: &str, value: &str) -> Self {
        self.flag(name).flag(value)
    }

    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        self.option("--header", &format!("{name}: {value}"))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").option("--data-binary", &body.to_string())
    }

    pub(crate) fn get(&self, url: &str) -> Result<Answer, String> {
        self.clone().send(url)
    }

    /// Sends; an error is what curl says.
    pub(crate) fn send(&self, url: &str) -> Result<Answer, String> {
        let output = Command::new("curl").args(&self.arguments).arg(url).env_remove("HTTPS_PROXY").output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        Ok(Answer::parse(&output.stdout))
    }
}

impl Answer {
    fn parse(mut bytes: &[u8]) -> Self {
        loop {
            let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
            let head = std::str::from_utf8(&bytes[..end]).unwrap().to_owned();
            bytes = &bytes[end + 4..];
            let mut lines = head.lines();
            let status: u16 = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
            // An interim answer (100 Continue) comes before the real one.
            if status < 200 {
                continue;
            }
            let headers = lines.filter_map(|line| line.split_once(": "));
            let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
            return Self { status, headers, body: bytes.to_vec() };
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON, after the status was checked.
    pub(crate) fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}
