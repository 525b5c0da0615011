//! Which site a channel of the settings means.
//!
//! By its id, which never changes, or by its name. A name is bound to the site that has it
//! when the gateway starts, or gets it later: whoever renames a site silences no channel.
//! After a restart the old name means nothing, and that is said until it is corrected.

use domain::health::Trouble;
use domain::repository::{Error, Repository, Result};
use domain::site::Site;
use domain::{Clock, SiteId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::{error, warn};
use web::health::Health;

/// How often it is looked whether every channel's site is there.
const EVERY: Duration = Duration::from_secs(5);

/// What the settings call sites, and which they are.
#[derive(Debug)]
pub struct Sites {
    /// What is written in the settings.
    written: BTreeSet<String>,
    /// What of it is a name that some site has, or had.
    bound: Mutex<BTreeMap<String, SiteId>>,
}

impl Sites {
    /// Those that the settings write.
    #[must_use]
    pub fn new(written: BTreeSet<String>) -> Self {
        Self { written, bound: Mutex::default() }
    }

    /// Whether a channel that is told of `written` is told of this site.
    #[must_use]
    pub fn is(&self, written: &str, site: &Site) -> bool {
        if written == site.id.as_str() {
            return true;
        }
        let bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        bound.get(written).map_or(written == site.name, |id| *id == site.id)
    }

    /// Binds names to the sites that have them. Answers what no site is called.
    pub fn bind(&self, sites: &[Site]) -> Vec<String> {
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        // A site that is gone has left its name to whoever takes it next.
        bound.retain(|_, id| sites.iter().any(|site| site.id == *id));
        let mut unknown = Vec::new();
        for written in &self.written {
            if bound.contains_key(written) || sites.iter().any(|site| site.id.as_str() == written) {
                continue;
            }
            match sites.iter().find(|site| site.name == *written) {
                Some(site) => drop(bound.insert(written.clone(), site.id.clone())),
                None => unknown.push(written.clone()),
            }
        }
        unknown
    }

    /// Looks now and then, for ever, and says which channels tell nobody of anything.
    pub(super) async fn watch(
        self: Arc<Self>,
        repository: Arc<dyn Repository>,
        clock: Arc<dyn Clock>,
        health: Health,
    ) {
        let mut said = Vec::new();
        loop {
            match self.unknown(&*repository).await {
                Ok(unknown) => {
                    let names = unknown.join(", ");
                    let detail = (!unknown.is_empty()).then(|| {
                        format!(
                            "channels of the settings are told of a site that there is not: {names}; write \
                             the site's id there, which stays when it is renamed, and start the gateway again"
                        )
                    });
                    if unknown != said && !unknown.is_empty() {
                        error!(sites = names, "a channel is told of no alarm: no site has this name or id");
                    }
                    health.set(Trouble::ChannelSite, detail, clock.now());
                    said = unknown;
                }
                Err(error) => warn!(%error, "the sites of channels cannot be looked up"),
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn unknown(&self, repository: &dyn Repository) -> Result<Vec<String>> {
        match repository.sites().await {
            Ok(sites) => Ok(self.bind(&sites)),
            // One that cannot be read is no reason to say that another is not there.
            Err(Error::Corrupt(why)) => {
                warn!(why, "a site cannot be read");
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;
    use domain::site::{ResidentPolicy, SiteKind};

    fn site(n: u8, name: &str) -> Site {
        Site {
            id: SiteId::from_random([n; 16]),
            name: name.to_owned(),
            kind: SiteKind::Compound,
            time_zone: "Asia/Shanghai".to_owned(),
            resident_policy: ResidentPolicy::Off,
            created_at: Timestamp(0),
        }
    }

    #[test]
    fn a_channel_means_the_site_that_had_the_name_and_an_id_always() {
        let (first, second) = (site(1, "Xingfuli"), site(2, "Other"));
        let by_id = second.id.to_string();
        let sites = Sites::new([by_id.clone(), "Xingfuli".to_owned(), "Nowhere".to_owned()].into());
        assert!(sites.is("Xingfuli", &first), "also before it is looked up");
        assert_eq!(sites.bind(&[first.clone(), second.clone()]), ["Nowhere"]);
        let renamed = Site { name: "Xingfu Garden".to_owned(), ..first };
        let taken_over = Site { name: "Xingfuli".to_owned(), ..second };
        assert!(sites.is("Xingfuli", &renamed), "renamed, it is the same site");
        assert!(!sites.is("Xingfuli", &taken_over), "and no other");
        assert!(sites.is(&by_id, &taken_over) && !sites.is(&by_id, &renamed));
        assert_eq!(sites.bind(&[renamed.clone(), taken_over.clone()]), ["Nowhere"]);
        // After a restart the old name means whoever has it, or nobody.
        let again = Sites::new(["Xingfuli".to_owned()].into());
        assert_eq!(again.bind(std::slice::from_ref(&renamed)), ["Xingfuli"]);
        assert!(!again.is("Xingfuli", &renamed));
        assert_eq!(again.bind(&[renamed, taken_over.clone()]), Vec::<String>::new());
        assert!(again.is("Xingfuli", &taken_over));
    }
}
