//! What can be looked at, what each needs, and whether it shows content.

use super::{Permission, Role};

macro_rules! operations {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $permission:ident, $content:literal;)*) => {
        /// A look, by name. Every one of them is written down.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Operation { $($(#[$doc])* $variant,)* }

        impl Operation {
            /// Every operation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word in `access` entries and logs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// What it needs.
            #[must_use]
            pub const fn permission(self) -> Permission {
                match self { $(Self::$variant => Permission::$permission,)* }
            }

            /// Whether it shows (or finds by) what somebody wrote: then a purpose is needed.
            #[must_use]
            pub const fn shows_content(self) -> bool {
                match self { $(Self::$variant => $content,)* }
            }
        }
    };
}

operations! {
    /// A list of records, without content.
    RecordsList = "records.list", ListRecords, false;
    /// A list of records found by their text.
    RecordsSearch = "records.search", ReadContent, true;
    /// Counts of records, by filter.
    FacetsList = "facets.list", ListRecords, false;
    /// Counts of records found by their text.
    FacetsSearch = "facets.search", ReadContent, true;
    /// One record with its content.
    RecordsGet = "records.get", ReadContent, true;
    /// What a record speaks of, before and after each change.
    RecordsVersions = "records.versions", ReadContent, true;
    /// The conversation around a record.
    RecordsThread = "records.thread", ReadContent, true;
    /// Everything a search finds, with content: it may begin.
    RecordsExport = "records.export", ReadContent, true;
    /// An export has ended: how far it came. Written by the service for the officer, and never asked for.
    RecordsExported = "records.exported", ReadContent, true;
    /// The bytes of one field of a record: an attachment, a raw exchange.
    FieldsGet = "fields.get", ReadContent, true;
    /// One entry's exact bytes.
    EntriesGet = "entries.get", ReadLedger, false;
    /// 256 entries' exact bytes.
    EntriesTile = "entries.tile", ReadLedger, false;
    /// One advisor.
    AdvisorsGet = "advisors.get", ReadPeople, false;
    /// One device.
    DevicesGet = "devices.get", ReadPeople, false;
    /// One account.
    AccountsGet = "accounts.get", ReadPeople, false;
    /// The advisors.
    AdvisorsList = "advisors.list", ReadPeople, false;
    /// The devices.
    DevicesList = "devices.list", ReadPeople, false;
    /// The officers.
    OfficersList = "officers.list", ReadPeople, false;
    /// The accounts.
    AccountsList = "accounts.list", ReadPeople, false;
    /// Records, outcomes, gaps and alarms as they come, without content.
    EventsFollow = "events.follow", ListRecords, false;
    /// The gaps.
    GapsList = "gaps.list", ReadIntegrity, false;
    /// What was covered of each device.
    CoverageList = "coverage.list", ReadIntegrity, false;
    /// The webhooks.
    WebhooksList = "webhooks.list", ReadIntegrity, false;
    /// One webhook.
    WebhooksGet = "webhooks.get", ReadIntegrity, false;
    /// What a webhook has delivered, and has not.
    WebhooksDeliveries = "webhooks.deliveries", ReadIntegrity, false;
    /// A webhook is set up.
    WebhooksCreate = "webhooks.create", ManageWebhooks, false;
    /// A webhook is changed, disabled or enabled.
    WebhooksUpdate = "webhooks.update", ManageWebhooks, false;
    /// A webhook is removed.
    WebhooksDelete = "webhooks.delete", ManageWebhooks, false;
    /// A webhook is given another secret.
    WebhooksRotate = "webhooks.rotate", ManageWebhooks, false;
    /// A webhook is tested.
    WebhooksPing = "webhooks.ping", ManageWebhooks, false;
    /// Dead letters are tried again.
    WebhooksReplay = "webhooks.replay", ManageWebhooks, false;
    /// A webhook delivers: a look of its owner's. Written by the service for the officer, and never asked for.
    WebhooksDeliver = "webhooks.deliver", ListRecords, false;
    /// The matters.
    MattersList = "matters.list", ReadHolds, false;
    /// One matter.
    MattersGet = "matters.get", ReadHolds, false;
    /// A matter is opened.
    MattersCreate = "matters.create", ManageHolds, false;
    /// A matter is changed, closed or reopened.
    MattersUpdate = "matters.update", ManageHolds, false;
    /// A matter gets a custodian, or lets one go.
    MattersCustodians = "matters.custodians", ManageHolds, false;
    /// A custodian was told.
    MattersNotices = "matters.notices", ManageHolds, false;
    /// A notice was acknowledged.
    MattersAcknowledge = "matters.acknowledge", ManageHolds, false;
    /// The holds.
    HoldsList = "holds.list", ReadHolds, false;
    /// One hold.
    HoldsGet = "holds.get", ReadHolds, false;
    /// A hold is placed.
    HoldsCreate = "holds.create", ManageHolds, false;
    /// A hold is released.
    HoldsRelease = "holds.release", ManageHolds, false;
    /// What may be disposed of today, counted. Asked for by the command, and by nobody else.
    RecordsDue = "records.due", ReadHolds, false;
    /// What may go goes. Asked for by the command, and by nobody else.
    RecordsDispose = "records.dispose", ManageHolds, false;
    /// The settings in force, and before.
    SettingsList = "settings.list", ReadIntegrity, false;
    /// Who looked at what, and why.
    AccessList = "access.list", ReadAccess, false;
}

impl Permission {
    /// The roles that have it.
    pub fn roles(self) -> impl Iterator<Item = Role> {
        Role::ALL.iter().copied().filter(move |role| role.may(self))
    }
}
