//! The reference server that is broken, on any stack.

use std::io;
use std::sync::Arc;

use super::error::ProofError;
use super::proxy::{Proxy, Tamper};
use crate::engine::Target;
use crate::launch::{Databases, Kind, Launched, Launcher, Recipe, Stack};

/// A running deployment, gone when this is dropped.
pub(super) struct Bench {
    pub(super) target: Target,
    pub(super) nodes: Vec<Launched>,
}

/// Starts deployments of one kind; those on MongoDB share it.
pub(super) struct Workshop {
    stack: Stack,
    databases: Databases,
}

impl Workshop {
    pub(super) async fn open(stack: Stack) -> Result<Self, ProofError> {
        let databases = stack.databases().await.map_err(crate::launch::LaunchError::from)?;
        Ok(Self { stack, databases })
    }

    /// Whether it has several nodes.
    pub(super) fn is_cluster(&self) -> bool {
        self.stack.nodes() > 1
    }

    /// The servers, with a mistake to make or none.
    pub(super) async fn start(&self, fault: Option<&str>) -> Result<Bench, ProofError> {
        let recipe = Recipe::new(Kind::reference()?, self.databases.clone());
        let recipe = match fault {
            Some(fault) => recipe.with("--fault", fault),
            None => recipe,
        };
        let launcher = Launcher::of(recipe);
        let nodes = match self.stack.nodes() {
            0 | 1 => vec![launcher.launch(&[]).await?],
            several => launcher.launch_nodes(several, &[]).await?,
        };
        let bases: Vec<&str> = nodes.iter().map(|node| node.base.as_str()).collect();
        let target = Target::of_nodes(&bases, Some(launcher)).map_err(ProofError::Target)?;
        Ok(Bench { target, nodes })
    }
}

/// The same target with a hand in the wire of every node, and of every server that a case starts; the proxies must live as long.
pub(super) async fn behind(target: &Target, tamper: Arc<dyn Tamper>) -> io::Result<(Target, Vec<Proxy>)> {
    let mut proxies = Vec::with_capacity(target.nodes.len());
    for node in &target.nodes {
        proxies.push(Proxy::start(node, tamper.clone()).await?);
    }
    let bases: Vec<&str> = proxies.iter().map(|proxy| proxy.base.as_str()).collect();
    let launcher = target.launcher.clone().map(|launcher| launcher.through(tamper));
    Ok((target.beside(&bases, launcher), proxies))
}
