//! What each record is: who, when, where, to whom and what, from its number.

use muniment::record::{AccountId, AdvisorId, DeviceId, Digest, EntryId, FieldName, RecordId};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{detail, said};

pub(crate) const NETWORKS: [&str; 4] = ["bluesky", "mastodon", "twitter", "linkedin"];

/// A firm and its years of records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Firm {
    pub(crate) records: u64,
    pub(crate) advisors: u64,
    /// The first and the last moment, in microseconds since 1970.
    pub(crate) from: i64,
    pub(crate) until: i64,
    /// Records that say everything there is to say; after them it is said again, at other times and under other ids.
    pub(crate) period: u64,
    /// Entries of such a period, where it is filled up to so many; the people before it, too.
    pub(crate) run: Option<u64>,
}

/// A gap in so many records, and the first of them.
pub(super) const GAPS: u64 = 2_000;
pub(super) const FIRST_GAP: u64 = 1_234;

/// One record.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) number: u64,
    pub(crate) at: i64,
    pub(crate) record: RecordId,
    pub(crate) entry: EntryId,
    pub(crate) advisor: u64,
    pub(crate) device: DeviceId,
    pub(crate) network: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) outbound: bool,
    /// The other side of a message or reply.
    pub(crate) client: Option<u64>,
    /// The record whose item an edit replaces.
    pub(crate) edits: Option<u64>,
    pub(crate) flagged: bool,
    /// What the network answered to a capture, if it did.
    pub(crate) state: Option<&'static str>,
    /// Something that was seen and could not be kept.
    pub(crate) gap: Option<&'static str>,
}

/// What an id is of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    Source,
    Advisor,
    Device,
    Account,
    Person,
    Record,
    Entry,
    Outcome,
    Gap,
    Exchange,
    Filler,
}

/// A UUIDv7.
pub(super) fn id(micros: i64, of: Of, number: u64) -> Uuid {
    let mut random = [0x5a; 10];
    random[1] = of as u8;
    random[2..].copy_from_slice(&number.to_be_bytes());
    // Two bits of the third byte say which UUID it is.
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(micros / 1_000).unwrap(), &random).into_uuid()
}

/// As good as random (splitmix64).
pub(super) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A record's key.
pub(super) fn secret(number: u64) -> [u8; 32] {
    let mut secret = [0; 32];
    for (nth, part) in (1..).zip(secret.chunks_exact_mut(8)) {
        part.copy_from_slice(&mix(number.wrapping_mul(4).wrapping_add(nth)).to_be_bytes());
    }
    secret
}

pub(crate) fn account_id(advisor: u64) -> String {
    format!("did:plc:advisor{advisor}")
}

pub(crate) fn account_handle(advisor: u64, network: &str) -> String {
    format!("advisor{advisor}.{network}.example")
}

pub(super) fn item(number: u64) -> String {
    format!("at://item/{number}")
}

impl Firm {
    pub(crate) fn advisor(&self, number: u64) -> AdvisorId {
        AdvisorId::new(id(self.from, Of::Advisor, number))
    }

    pub(crate) fn account(&self, advisor: u64, network: &str) -> AccountId {
        let network = NETWORKS.iter().position(|known| *known == network).unwrap() as u64;
        AccountId::new(id(self.from, Of::Account, advisor * NETWORKS.len() as u64 + network))
    }

    /// Records of two hundred advisors in three years, each another one.
    pub(crate) const fn large(records: u64) -> Self {
        let (from, until) = (1_700_000_000_000_000, 1_794_700_000_000_000);
        Self { records, advisors: 200, from, until, period: records, run: None }
    }

    /// The same in periods as long as the runs that are counted.
    pub(crate) const fn periodic(periods: u64, period: u64, run: u64) -> Self {
        Self { period, run: Some(run), ..Self::large(periods * period) }
    }

    /// When the record of a number was made.
    pub(crate) fn at(&self, number: u64) -> i64 {
        let span = u128::from(self.until.abs_diff(self.from));
        self.from + i64::try_from(span * u128::from(number + 1) / u128::from(self.records + 1)).unwrap()
    }

    /// The record of a number.
    pub(crate) fn spec(&self, number: u64) -> Spec {
        let first = number % self.period;
        let chance = mix(first);
        let share = |bits: u32, of: u64| (chance >> bits) % of;
        let at = self.at(number);
        let (mut advisor, mut network) = (share(0, self.advisors), NETWORKS[[0, 0, 1, 2, 3][share(20, 5) as usize]]);
        let (kind, outbound) = match share(24, 100) {
            0..20 => ("message", true),
            20..35 => ("post", true),
            35..45 => ("reply", true),
            45 => ("edit", true),
            46..48 => ("reaction", true),
            48..78 => ("message", false),
            78..98 => ("reply", false),
            _ => ("comment", false),
        };
        let mut edits = None;
        if kind == "edit" && first > 1_000 {
            // The last post before some earlier place.
            let before = (0..100).map(|step| self.spec(first - 1 - share(32, 899) - step));
            let before = before.into_iter().find(|spec| spec.state == Some("accepted") && spec.kind == "post");
            if let Some(before) = before {
                (advisor, network, edits) = (before.advisor, before.network, Some(number - first + before.number));
            }
        }
        // Each advisor speaks with forty people, most of them with others, too.
        let client = (kind != "post").then(|| (advisor * 7 + share(40, 40)) % (self.advisors * 10));
        let state = outbound.then(|| match share(48, 1_000) {
            0..5 => Some("refused"),
            5..8 => Some("unknown"),
            8 => None,
            _ => Some("accepted"),
        });
        let gap = (first % GAPS == FIRST_GAP).then(|| ["read_capped", "pinned_app", "outage"][share(52, 3) as usize]);
        Spec {
            number,
            at,
            record: RecordId::new(id(at, Of::Record, number)),
            entry: EntryId::new(id(at, Of::Entry, number)),
            advisor,
            device: self.devices(advisor)[share(56, 2) as usize],
            network,
            kind,
            outbound,
            client,
            edits,
            flagged: share(58, 50) == 0,
            state: state.flatten(),
            gap,
        }
    }

    /// How many records are between two that a planted word is in.
    pub(crate) fn every(&self) -> u64 {
        (self.period / 20).max(25)
    }

    /// What a record says: planted words stand in twenty records of any archive that does not repeat itself, however large.
    pub(crate) fn text(&self, number: u64) -> String {
        let first = number % self.period;
        let mut text = said::text(mix(first ^ 0x5eed));
        let planted = match first % self.every() {
            7 => " zanzibar",
            11 => " quiet harbour",
            19 => " ref ZX81-4471",
            _ => match first % 1_000 {
                13 => " quiet",
                17 => " harbour",
                _ => "",
            },
        };
        text.push_str(planted);
        text
    }
}

impl Spec {
    pub(crate) fn conversation(&self) -> Option<String> {
        self.client.filter(|_client| self.kind == "message").map(|client| format!("dm-{}-{client}", self.advisor))
    }

    pub(super) fn detail(&self) -> Map<String, Value> {
        let exchange = id(self.at, Of::Exchange, self.number).to_string();
        let mut facts = json!({
            "attachments": 0, "direction": if self.outbound { "outbound" } else { "inbound" }, "exchange": exchange,
            "kinds": [self.kind], "network": self.network, "rule": self.kind, "rules": Digest::ZERO.to_string(), "size": 400,
            "transport": "http",
        });
        if self.outbound {
            facts["method"] = json!("post");
        }
        if self.flagged {
            facts["flags"] = json!(["redacted"]);
        }
        detail(facts)
    }

    pub(super) fn fields(&self, firm: &Firm) -> Vec<(FieldName, Vec<u8>)> {
        let field = |name: &str, value: String| (name.parse().unwrap(), value.into_bytes());
        let party = |id: String, handle: String| json!({ "handle": handle, "id": id });
        let ours = party(account_id(self.advisor), account_handle(self.advisor, self.network));
        let theirs = |client: u64| party(format!("did:plc:client{client}"), format!("client{client}.example"));
        let mut fields = vec![field("0.account", ours.to_string())];
        if self.kind != "reaction" {
            fields.push(field("0.text", firm.text(self.number)));
        }
        match self.client {
            Some(client) if self.outbound => {
                fields.push(field("0.recipients", json!([theirs(client)]).to_string()));
            }
            Some(client) => {
                fields.push(field("0.author", theirs(client).to_string()));
                fields.push(field("0.item", item(self.number)));
            }
            None => {}
        }
        fields.extend(self.conversation().map(|conversation| field("0.conversation", conversation)));
        fields.extend(self.edits.map(|before| field("0.edited_from", item(before))));
        fields.sort_unstable();
        fields
    }
}
