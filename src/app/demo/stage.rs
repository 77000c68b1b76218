//! The stage: a directory, a network, a service, and the people who play.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

use super::DemoError;
use super::certificate::Identity;
use super::device::{Device, Route};
use super::network::{Member, Network};
use super::officer::Officer;
use crate::access::Role;
use crate::app::command::{advisor, device, officer};
use crate::app::context::Context;
use crate::app::service::Service;
use crate::app::{AppError, SystemClock};
use crate::archive::Limits;
use crate::settings::{self, Settings};

/// The network's name; it is reached through `upstream.resolve`, so no name server is asked.
pub(super) const HOST: &str = "square.demo.test";

/// Everything the demo needs, on loopback.
pub(super) struct Stage {
    /// Removed at the end, unless the data is to be kept.
    _dir: Option<TempDir>,
    pub(super) path: PathBuf,
    pub(super) network: Network,
    pub(super) context: Context,
    /// Runs, unless the archive is being looked at with the service stopped.
    service: Option<Service>,
    pub(super) ada: Device,
    pub(super) ben: Device,
    /// Not of the firm: reaches the network directly.
    pub(super) carla: Device,
    pub(super) officer: Officer,
}

fn member(id: &str, handle: &str, name: &str) -> (String, Member) {
    let member = Member { id: id.to_owned(), handle: handle.to_owned(), display_name: name.to_owned() };
    (format!("{handle}-token"), member)
}

fn trust(pem: &str) -> Result<Arc<ClientConfig>, DemoError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok) {
        roots.add(certificate)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

impl Stage {
    pub(super) async fn set(keep: Option<&Path>) -> Result<Self, AppError> {
        let (dir, path) = directory(keep)?;
        let identity = Identity::fresh(HOST).map_err(DemoError::from)?;
        let members =
            vec![member("1", "ada", "Ada Advisor"), member("2", "ben", "Ben Broker"), member("3", "carla", "Carla")];
        let network = Network::start(HOST, members, Arc::clone(&identity.server), Arc::new(SystemClock), 0).await;
        let network = network.map_err(DemoError::from)?;
        let context = Context::open(write_settings(&path, &network, &identity)?)?;
        let service = Service::start(&context).await?;
        let root = context.authority()?.export_pem();
        let behind = trust(&root)?;
        let (ada, _index) = advisor::register(&service.archive, "Ada Advisor").await?;
        let (ben, _index) = advisor::register(&service.archive, "Ben Broker").await?;
        let (ada_device, ada_secret) = device::register(&service.archive, ada, "Ada's laptop").await?;
        let (ben_device, ben_secret) = device::register(&service.archive, ben, "Ben's phone").await?;
        let (_id, token) = officer::register(
            &service.archive,
            &*context.entropy,
            "Olga Officer",
            &[Role::Compliance],
            &Limits::default(),
        )
        .await?;
        let port = network.address().port();
        let device =
            |route, tls, token: &str| Device { route, tls, host: HOST.to_owned(), port, token: token.to_owned() };
        let proxied = |id: String, secret| Route::Proxy(service.proxy, id, secret);
        Ok(Self {
            ada: device(proxied(ada_device.to_string(), ada_secret), Arc::clone(&behind), "ada-token"),
            ben: device(proxied(ben_device.to_string(), ben_secret), behind, "ben-token"),
            carla: device(Route::Direct(network.address()), trust(&identity.root)?, "carla-token"),
            officer: Officer { api: service.api, token, purpose: "demonstration".to_owned() },
            _dir: dir,
            path,
            network,
            context,
            service: Some(service),
        })
    }

    pub(super) fn service(&self) -> Result<&Service, DemoError> {
        self.service.as_ref().ok_or_else(|| DemoError::Unexpected("the service has been stopped".to_owned()))
    }

    /// Stops the service and leaves the rest: its archive can then be copied.
    pub(super) async fn pause(&mut self) {
        if let Some(service) = self.service.take() {
            service.stop().await;
        }
    }

    /// Starts the service again on what is there.
    pub(super) async fn resume(&mut self) -> Result<(), AppError> {
        self.service = Some(Service::start(&self.context).await?);
        Ok(())
    }

    pub(super) async fn end(mut self) {
        self.pause().await;
        self.network.stop().await;
    }
}

fn directory(keep: Option<&Path>) -> Result<(Option<TempDir>, PathBuf), DemoError> {
    let open = Permissions::from_mode(0o711);
    if let Some(path) = keep {
        std::fs::create_dir(path)?;
        let path = std::path::absolute(path)?;
        std::fs::set_permissions(&path, open)?;
        return Ok((None, path));
    }
    let dir = tempfile::Builder::new().prefix("muniment-demo-").tempdir()?;
    // The private Postgres may run as another user, who must pass through.
    std::fs::set_permissions(dir.path(), open)?;
    let path = dir.path().to_owned();
    Ok((Some(dir), path))
}

/// A settings file as an operator would write one, on ports that are free.
fn write_settings(path: &Path, network: &Network, identity: &Identity) -> Result<Settings, AppError> {
    let address = network.address();
    let text = format!(
        "data_dir = \"data\"\n\n[firm]\nname = \"Demo & Partners\"\n\n[proxy]\nlisten = \"127.0.0.1:0\"\n\n[api]\nlisten = \"127.0.0.1:0\"\n\n\
         [upstream]\nextra_roots = [\"network-root.pem\"]\nresolve = {{ \"{HOST}\" = \"{address}\" }}\n\n\
         [intercept]\nextra_hosts = [\"{HOST}\"]\n\n[recognition]\nworkers = 1\n"
    );
    std::fs::write(path.join("network-root.pem"), &identity.root).map_err(DemoError::from)?;
    let file = path.join("muniment.toml");
    std::fs::write(&file, text).map_err(DemoError::from)?;
    Ok(settings::load(Some(&file), &settings::Process)?)
}
