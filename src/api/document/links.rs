//! Which answers hold what other operations ask for: how a client, or a tester, gets from a list to what is in it.

use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::path::Operation;

/// From an operation's answer to another operation: which of its parameters is found where.
struct Way {
    from: &'static str,
    to: &'static str,
    parameters: &'static [(&'static str, &'static str)],
}

const fn way(from: &'static str, to: &'static str, parameters: &'static [(&'static str, &'static str)]) -> Way {
    Way { from, to, parameters }
}

/// A constant is one of numbers; the first of a list stands for all of them.
const FIRST_RECORD: &[(&str, &str)] = &[("id", "$response.body#/records/0/id")];

const ID: &[(&str, &str)] = &[("id", "$response.body#/id")];

/// Every way.
const WAYS: &[Way] = &[
    way("v1_records", "v1_records_by_id", FIRST_RECORD),
    way("v1_records", "v1_records_by_id_thread", FIRST_RECORD),
    way("v1_records", "v1_records_by_id_versions", FIRST_RECORD),
    way("v1_records", "v1_records", &[("after", "$response.body#/next")]),
    way(
        "v1_records_by_id",
        "v1_records_by_id_fields_by_index_by_name",
        &[
            ("id", "$response.body#/id"),
            ("index", "$response.body#/entries/0/index"),
            ("name", "$response.body#/entries/0/fields/0/name"),
        ],
    ),
    way(
        "v1_records_by_id",
        "v1_records_by_id_attachments_by_number_by_position",
        &[("id", "$response.body#/id"), ("number", "0"), ("position", "0")],
    ),
    way("v1_records_by_id", "v1_entries_by_index", &[("index", "$response.body#/index")]),
    way("v1_records_by_id", "v1_proofs_inclusion", &[("index", "$response.body#/index")]),
    way("v1_records_by_id", "v1_access", &[("record", "$response.body#/id")]),
    way("v1_advisors", "v1_advisors_by_id", &[("id", "$response.body#/advisors/0/id")]),
    way("v1_advisors", "v1_coverage", &[("advisor", "$response.body#/advisors/0/id")]),
    way("v1_devices", "v1_devices_by_id", &[("id", "$response.body#/devices/0/id")]),
    way("v1_accounts", "v1_accounts_by_id", &[("id", "$response.body#/accounts/0/id")]),
    way("v1_webhooks", "v1_webhooks_by_id", &[("id", "$response.body#/webhooks/0/id")]),
    way("post_v1_webhooks", "v1_webhooks_by_id", ID),
    way("post_v1_webhooks", "v1_webhooks_by_id_deliveries", ID),
    way("post_v1_webhooks", "patch_v1_webhooks_by_id", ID),
    way("post_v1_webhooks", "delete_v1_webhooks_by_id", ID),
    way("v1_checkpoints", "v1_records", &[("as_of", "$response.body#/checkpoints/0/size")]),
];

/// Adds the ways that lead from this operation.
pub(super) fn add(operation: &mut Operation) {
    let Some(id) = operation.operation_id.clone() else { return };
    let responses = &mut operation.responses.responses;
    let status = if responses.contains_key("201") { "201" } else { "200" };
    let Some(RefOr::T(response)) = responses.get_mut(status) else { return };
    for way in WAYS.iter().filter(|way| way.from == id) {
        let link = LinkBuilder::new().operation_id(way.to);
        let value =
            |found: &str| found.parse().map_or_else(|_not_a_number| Value::from(found), |number: u64| number.into());
        let link = way.parameters.iter().fold(link, |link, (name, found)| link.parameter(*name, value(found)));
        response.links.insert(way.to.to_owned(), RefOr::T(link.build()));
    }
}
