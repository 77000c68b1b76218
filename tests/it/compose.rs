//! `docker-compose.yml` against the program: every name, port, variable and health check in it must be one the program knows.
//!
//! No container engine is needed: the file is data, and so are the settings, arguments and routes it must agree with.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Parser as _;
use muniment::app::Arguments;
use muniment::settings::{self, Postgres, Settings, VARIABLES};
use saphyr::{LoadableYamlNode as _, Yaml};
use secrecy::ExposeSecret as _;

const FILE: &str = include_str!("../../docker-compose.yml");

type Map = BTreeMap<String, Node>;

/// The document with merge keys (`<<`) carried out, as Compose does.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Nothing,
    Text(String),
    List(Vec<Node>),
    Map(Map),
}

impl Node {
    fn new(yaml: &Yaml<'_>) -> Self {
        if let Some(map) = yaml.as_mapping() {
            let (mut merged, mut own) = (Map::new(), Map::new());
            for (key, value) in map {
                match (key.as_str().expect("text keys"), Self::new(value)) {
                    ("<<", Self::Map(base)) => merged.extend(base),
                    (key, value) => assert_eq!(own.insert(key.to_owned(), value), None, "{key} stands twice"),
                }
            }
            merged.extend(own);
            Self::Map(merged)
        } else if let Some(list) = yaml.as_sequence() {
            Self::List(list.iter().map(Self::new).collect())
        } else if let Some(text) = yaml.as_str() {
            Self::Text(text.to_owned())
        } else if let Some(number) = yaml.as_integer() {
            Self::Text(number.to_string())
        } else {
            Self::Nothing
        }
    }

    fn at(&self, path: &str) -> &Self {
        path.split('.').fold(self, |node, key| match node {
            Self::Map(map) => map.get(key).unwrap_or_else(|| panic!("no `{key}` of {path}")),
            other => panic!("`{key}` of {path} in {other:?}"),
        })
    }

    fn find(&self, key: &str) -> Option<&Self> {
        self.map().get(key)
    }

    fn map(&self) -> &Map {
        let Self::Map(map) = self else { panic!("a mapping, not {self:?}") };
        map
    }

    fn list(&self) -> Vec<&str> {
        let Self::List(list) = self else { panic!("a list, not {self:?}") };
        list.iter().map(Self::text).collect()
    }

    fn text(&self) -> &str {
        let Self::Text(text) = self else { panic!("text, not {self:?}") };
        text
    }
}

fn compose() -> Node {
    let documents = Yaml::load_from_str(FILE).unwrap();
    assert_eq!(documents.len(), 1);
    Node::new(&documents[0])
}

/// The services that run our program.
const OURS: [&str; 2] = ["migrate", "muniment"];

/// `${NAME:?…}` with a value put in, `$$` as one dollar: what Compose would hand over.
fn interpolated(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (expression, tail) = after.split_once('}').expect("closed");
        let (name, _demand) = expression.split_once(":?").unwrap_or_else(|| panic!("${{{expression}}} has no demand"));
        out = format!("{out}{before}{}", name.to_lowercase());
        rest = tail;
    }
    format!("{out}{rest}").replace("$$", "$")
}

fn environment(compose: &Node, service: &str) -> BTreeMap<String, String> {
    let variables = compose.at(&format!("services.{service}.environment")).map();
    variables.iter().map(|(name, value)| (name.clone(), interpolated(value.text()))).collect()
}

/// The settings as the program in the container would read them.
fn settings(compose: &Node, service: &str) -> Settings {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("muniment.toml");
    std::fs::write(&file, interpolated(compose.at("configs.settings.content").text())).unwrap();
    settings::load(Some(&file), &environment(compose, service)).unwrap()
}

#[test]
fn every_command_is_one_the_program_has() {
    let compose = compose();
    for service in OURS {
        let arguments = compose.at(&format!("services.{service}.command"));
        let typed = std::iter::once("muniment").chain(arguments.list());
        Arguments::try_parse_from(typed).unwrap_or_else(|error| panic!("{service}: {error}"));
    }
}

#[test]
fn every_variable_is_one_the_program_reads() {
    let compose = compose();
    for service in OURS {
        let variables = environment(&compose, service);
        for name in variables.keys() {
            assert!(VARIABLES.iter().any(|(known, _)| known == name), "{service}: {name}");
        }
        let mounted = compose.at(&format!("services.{service}.configs"));
        let Node::List(mounted) = mounted else { panic!("{mounted:?}") };
        assert!(mounted.iter().any(|config| config.at("target").text() == variables["MUNIMENT_CONFIG"]));
    }
}

#[test]
fn the_published_ports_are_those_the_program_listens_on() {
    let compose = compose();
    let settings = settings(&compose, "muniment");
    let listened = [settings.proxy.listen, settings.api.listen];
    let published = compose.at("services.muniment.ports").list();
    assert_eq!(published.len(), listened.len());
    for (port, listen) in published.iter().zip(listened) {
        let parts: Vec<&str> = port.rsplitn(3, ':').collect();
        assert_eq!(parts[0], listen.port().to_string());
        assert_eq!(parts[2], "127.0.0.1", "published beyond this machine: {port}");
        assert!(listen.ip().is_unspecified(), "the container's loopback cannot be published");
    }
    let dockerfile = compose.at("services.muniment.build.dockerfile_inline").text();
    let exposed = dockerfile.lines().find_map(|line| line.strip_prefix("EXPOSE ")).unwrap();
    assert_eq!(exposed, format!("{} {}", listened[0].port(), listened[1].port()));
}

#[test]
fn devices_and_officers_behind_the_bridge_may_use_plain_connections_and_nobody_else() {
    let compose = compose();
    let settings = settings(&compose, "muniment");
    let Node::List(ranges) = compose.at("networks.inside.ipam.config") else { panic!("a list") };
    let subnets: Vec<&str> = ranges.iter().map(|range| range.at("subnet").text()).collect();
    for networks in [&settings.proxy.plain_networks, &settings.api.plain_networks] {
        assert_eq!(networks.iter().map(ToString::to_string).collect::<Vec<_>>(), subnets);
    }
}

#[test]
fn the_health_check_asks_a_route_the_api_has_on_the_port_it_has() {
    let compose = compose();
    let settings = settings(&compose, "muniment");
    let check = compose.at("services.muniment.healthcheck.test").list();
    assert_eq!(&check[..2], ["CMD", "curl"]);
    assert!(check.contains(&"--fail"), "a 503 must count as ill");
    let url = check.last().unwrap();
    let (address, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).unwrap();
    assert_eq!(address, format!("127.0.0.1:{}", settings.api.listen.port()));
    let document = muniment::api::document();
    assert!(document.paths.paths.contains_key(&format!("/{path}")), "{url}");
    let dockerfile = compose.at("services.muniment.build.dockerfile_inline").text();
    assert!(dockerfile.contains("ca-certificates curl"), "the image must have curl and the system's roots");
}

#[test]
fn data_lives_in_a_volume() {
    let compose = compose();
    let settings = settings(&compose, "muniment");
    for service in OURS {
        let volumes = compose.at(&format!("services.{service}.volumes")).list();
        let (volume, path) = volumes[0].split_once(':').unwrap();
        assert_eq!(Path::new(path), settings.data_dir);
        assert!(compose.at("volumes").find(volume).is_some(), "{volume}");
    }
    assert!(settings.archive.blobs.starts_with(&settings.data_dir));
    let dockerfile = compose.at("services.muniment.build.dockerfile_inline").text();
    assert!(dockerfile.contains(&format!("VOLUME {}", settings.data_dir.display())));
    assert!(dockerfile.contains("USER muniment"));
}

#[test]
fn the_logins_are_those_postgres_is_made_with() {
    let compose = compose();
    let postgres = compose.at("services.postgres.environment");
    let owner = settings(&compose, "migrate").archive.postgres;
    let Postgres::Server { url, owner_url } = owner else { panic!("no server") };
    let parts = |url: &str| {
        let rest = url.strip_prefix("postgres://").unwrap().to_owned();
        let (login, place) = rest.split_once('@').unwrap();
        let (user, password) = login.split_once(':').unwrap();
        let (host, database) = place.split_once('/').unwrap();
        [user, password, host, database].map(str::to_owned)
    };
    let [user, password, host, database] = parts(owner_url.expose_secret());
    assert_eq!(user, postgres.at("POSTGRES_USER").text());
    assert_eq!(password, interpolated(postgres.at("POSTGRES_PASSWORD").text()));
    assert_eq!(database, postgres.at("POSTGRES_DB").text());
    assert_eq!(host, "postgres:5432");
    assert!(compose.at("services").find("postgres").is_some());

    let [user, password, host, same] = parts(url.expose_secret());
    assert_eq!((host.as_str(), same), ("postgres:5432", database.clone()));
    assert_eq!(password, interpolated(postgres.at("MUNIMENT_SERVICE_PASSWORD").text()));
    let script = interpolated(compose.at("configs.service-login.content").text());
    assert!(script.contains(&format!("create role {user} login noinherit password :'password';")), "{script}");

    let service = settings(&compose, "muniment").archive.postgres;
    let Postgres::Server { owner_url, .. } = service else { panic!("no server") };
    assert_eq!(parts(owner_url.expose_secret())[0], user, "the running service must not hold the owner's login");

    let check = compose.at("services.postgres.healthcheck.test").list();
    assert!(check.contains(&"pg_isready") && check.contains(&format!("--dbname={database}").as_str()), "{check:?}");
}

#[test]
fn the_service_starts_after_postgres_is_healthy_and_the_migration_is_done() {
    let compose = compose();
    for service in OURS {
        let depends = compose.at(&format!("services.{service}.depends_on"));
        assert_eq!(depends.at("postgres.condition").text(), "service_healthy");
        assert!(compose.at("services.postgres").find("healthcheck").is_some());
    }
    let migrated = compose.at("services.muniment.depends_on.migrate.condition");
    assert_eq!(migrated.text(), "service_completed_successfully");
    assert!(compose.at("services.migrate").find("restart").is_none(), "a migration that restarts never completes");
}

#[test]
fn the_container_is_given_longer_to_stop_than_the_program_takes() {
    let compose = compose();
    let grace = compose.at("services.muniment.stop_grace_period").text();
    let grace: u64 = grace.strip_suffix('s').unwrap().parse().unwrap();
    assert!(grace > settings(&compose, "muniment").proxy.limits.drain_timeout.as_secs() + 10);
}

#[test]
fn every_reference_inside_the_file_is_declared() {
    let compose = compose();
    for (name, service) in compose.at("services").map() {
        for network in service.at("networks").list() {
            assert!(compose.at("networks").find(network).is_some(), "{name}: network {network}");
        }
        for volume in service.at("volumes").list() {
            assert!(compose.at("volumes").find(volume.split(':').next().unwrap()).is_some(), "{name}: volume {volume}");
        }
        let Node::List(configs) = service.at("configs") else { panic!("{name}: configs") };
        for config in configs {
            assert!(compose.at("configs").find(config.at("source").text()).is_some(), "{name}: {config:?}");
        }
    }
}

#[test]
fn the_image_is_built_from_what_is_here() {
    let compose = compose();
    let dockerfile = compose.at("services.muniment.build.dockerfile_inline").text();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table = std::fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
    let copied: Vec<&str> = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|line| !line.starts_with("--from"))
        .flat_map(|line| line.split(' ').rev().skip(1).collect::<Vec<_>>())
        .collect();
    for path in &copied {
        assert!(root.join(path).exists(), "{path}");
    }
    // Cargo reads the manifest whole: every target it names must be there, even those that are not built.
    for (target, usual) in [("bin", "src/bin"), ("test", "tests"), ("bench", "benches")] {
        for item in manifest.get(target).and_then(toml::Value::as_array).into_iter().flatten() {
            let name = item["name"].as_str().unwrap();
            let path = item.get("path").map_or(format!("{usual}/{name}.rs"), |path| path.as_str().unwrap().to_owned());
            assert!(copied.iter().any(|copied| path.starts_with(copied)), "{path} is not copied into the image");
        }
    }
    assert_eq!(copied.contains(&"build.rs"), root.join("build.rs").exists());
    for bin in manifest["bin"].as_array().unwrap() {
        let name = bin["name"].as_str().unwrap();
        assert!(dockerfile.contains(&format!("--bin {name}")), "{name}");
        assert!(dockerfile.contains(&format!("/build/target/release/{name}")), "{name}");
    }
    let version = dockerfile.split("rust:").nth(1).unwrap().split('-').next().unwrap();
    let part = |version: &str| version.split('.').map(|p| p.parse::<u32>().unwrap()).collect::<Vec<_>>();
    assert!(part(version) >= part(manifest["package"]["rust-version"].as_str().unwrap()));
}
