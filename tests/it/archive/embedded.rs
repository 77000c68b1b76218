//! The private Postgres: made, run, killed, found again.

use std::path::Path;
use std::time::Duration;

use muniment::archive::embedded::{Embedded, EmbeddedError, State};
use muniment::archive::{Append as _, Archive, migrate};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{ConnectOptions as _, Row as _};

use crate::support::archive::options;
use crate::support::clock::{SteppingClock, TestIds};

/// Below /tmp: the server's user must be able to pass through.
fn data_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    dir
}

fn postmaster(dir: &Path) -> Pid {
    let text = std::fs::read_to_string(dir.join("cluster/postmaster.pid")).unwrap();
    Pid::from_raw(text.lines().next().unwrap().parse().unwrap()).unwrap()
}

async fn works(embedded: &Embedded) {
    let mut connection = embedded.service().connect().await.unwrap();
    let row = sqlx::query("select current_user::text, current_setting('listen_addresses'), current_setting('fsync')")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(row.get::<String, _>(0), "muniment_service");
    assert_eq!((row.get::<String, _>(1), row.get::<String, _>(2)), (String::new(), "on".to_owned()));
}

#[tokio::test]
async fn a_private_postgres_is_made_used_stopped_and_found_again() {
    let base = data_dir();
    let dir = base.path().join("data/postgres");
    let embedded = Embedded::start(&dir, None).await.unwrap();
    works(&embedded).await;
    migrate(embedded.owner(), embedded.service().get_username()).await.unwrap();
    let (clock, ids) = (SteppingClock::new(), TestIds::new());
    let open = |embedded: &Embedded| {
        let mut options = options(embedded.service().clone(), base.path(), &clock, &ids);
        options.durable = true;
        Archive::open(options)
    };
    let archive = open(&embedded).await.unwrap();
    assert_eq!(archive.head_size().await.unwrap(), 1);
    archive.close().await;
    let pid = postmaster(&dir);
    embedded.stop().await;
    assert!(rustix::process::test_kill_process(pid).is_err(), "the server is gone");

    let embedded = Embedded::start(&dir, None).await.unwrap();
    let archive = open(&embedded).await.unwrap();
    assert_eq!(archive.head_size().await.unwrap(), 1, "the same source, the same ledger");
    embedded.stop().await;
}

#[tokio::test]
async fn it_is_started_again_when_it_is_killed_and_loses_nothing() {
    let base = data_dir();
    let dir = base.path().join("data/postgres");
    let embedded = Embedded::start(&dir, None).await.unwrap();
    migrate(embedded.owner(), embedded.service().get_username()).await.unwrap();
    let (clock, ids) = (SteppingClock::new(), TestIds::new());
    let archive = Archive::open(options(embedded.service().clone(), base.path(), &clock, &ids)).await.unwrap();
    let mut state = embedded.state();
    for _time in 0..2 {
        kill_process(postmaster(&dir), Signal::KILL).unwrap();
        state.wait_for(|state| *state == State::Restarting).await.unwrap();
        let up = tokio::time::timeout(Duration::from_secs(60), state.wait_for(|state| *state == State::Running)).await;
        assert_eq!(*up.unwrap().unwrap(), State::Running);
        let draft = muniment::ledger::Draft {
            id: muniment::record::EntryId::new(muniment::record::Ids::fresh(&*ids)),
            entry_type: muniment::ledger::EntryType::Settings,
            actor: muniment::ledger::Actor::Service("test".try_into().unwrap()),
            captured_at: muniment::record::Clock::now(&*clock),
            record: None,
            streams: Vec::new(),
            commitments: muniment::ledger::Commitments::new(),
            detail: crate::support::submissions::detail(serde_json::json!({ "change": "loaded" })),
        };
        archive.append(muniment::archive::Submission::plain(draft)).await.unwrap();
    }
    assert_eq!(archive.head_size().await.unwrap(), 3);
    embedded.stop().await;
}

#[test]
fn a_server_left_behind_by_a_killed_muniment_is_stopped_and_taken_over() {
    let base = data_dir();
    taken_over(&base.path().join("data/postgres"));
}

#[test]
fn a_server_left_behind_is_found_where_the_data_directory_is_a_link() {
    let base = data_dir();
    std::fs::rename(base.path().join("data"), base.path().join("disk")).unwrap();
    std::os::unix::fs::symlink(base.path().join("disk"), base.path().join("data")).unwrap();
    taken_over(&base.path().join("data/postgres"));
}

fn taken_over(dir: &Path) {
    let former_life = tokio::runtime::Runtime::new().unwrap();
    let embedded = former_life.block_on(Embedded::start(dir, None)).unwrap();
    let orphan = postmaster(dir);
    // What a kill -9 of muniment leaves: the server alive, the lock free, nobody watching.
    former_life.shutdown_background();
    drop(embedded);
    rustix::process::test_kill_process(orphan).unwrap();

    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let embedded = Embedded::start(dir, None).await.unwrap();
        assert_ne!(postmaster(dir), orphan);
        works(&embedded).await;
        embedded.stop().await;
    });
}

#[tokio::test]
async fn a_command_uses_the_server_that_runs_and_a_second_service_does_not() {
    let base = data_dir();
    let dir = base.path().join("data/postgres");
    let serving = Embedded::start(&dir, None).await.unwrap();
    let guest = Embedded::join_or_start(&dir, None).await.unwrap();
    works(&guest).await;
    guest.stop().await;
    works(&serving).await;
    let second = Embedded::start(&dir, None).await.unwrap_err();
    assert!(matches!(&second, EmbeddedError::Taken { pid, .. } if *pid == std::process::id().to_string()), "{second}");
    serving.stop().await;
}

#[tokio::test]
async fn a_foreign_a_newer_and_a_half_made_data_directory_are_told_apart() {
    let base = data_dir();
    let dir = base.path().join("data/postgres");
    // Half made: removed, and made anew.
    std::fs::create_dir_all(dir.join("cluster.new/base")).unwrap();
    Embedded::start(&dir, None).await.unwrap().stop().await;
    assert!(!dir.join("cluster.new").exists());

    let version = dir.join("cluster/PG_VERSION");
    let ours = std::fs::read_to_string(&version).unwrap();
    std::fs::write(&version, "99\n").unwrap();
    let newer = Embedded::start(&dir, None).await.unwrap_err();
    assert!(matches!(newer, EmbeddedError::OtherVersion { made_by: 99, .. }), "{newer}");
    std::fs::write(&version, ours).unwrap();

    std::fs::remove_file(dir.join("cluster/muniment.cluster")).unwrap();
    let foreign = Embedded::start(&dir, None).await.unwrap_err();
    assert!(matches!(foreign, EmbeddedError::Foreign { .. }), "{foreign}");
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_no_obstacle() {
    let base = data_dir();
    let dir = base.path().join("data").join("d".repeat(100)).join("postgres");
    let embedded = Embedded::start(&dir, None).await.unwrap();
    works(&embedded).await;
    embedded.stop().await;
}

#[tokio::test]
async fn a_data_directory_out_of_reach_is_named_with_what_to_do() {
    use std::os::unix::fs::PermissionsExt as _;
    if !rustix::process::geteuid().is_root() {
        // Only root drops to another user.
        return;
    }
    let base = data_dir();
    let home = base.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
    let error = Embedded::start(&home.join("muniment/postgres"), None).await.unwrap_err();
    assert!(matches!(&error, EmbeddedError::OutOfReach { dir, .. } if *dir == home), "{error}");
    assert!(error.to_string().contains("chmod o+x"), "{error}");
}
