//! The sites, their trees of places and their open incidents: what a decision
//! about a camera needs besides the camera and the person.

use crate::access::Sight;
use crate::camera::Camera;
use crate::place::Place;
use crate::site::Site;
use crate::{PlaceId, SiteId};
use std::collections::{HashMap, HashSet};

/// How deep a tree of places may be.
pub const DEPTH: usize = 8;

/// All sites and places at one moment.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    sites: HashMap<SiteId, Site>,
    places: HashMap<PlaceId, Place>,
    incidents: HashSet<SiteId>,
}

impl Scene {
    /// A scene of these sites and places; incidents are open in `incidents`.
    #[must_use]
    pub fn new(sites: Vec<Site>, places: Vec<Place>, incidents: HashSet<SiteId>) -> Self {
        Self {
            sites: sites.into_iter().map(|site| (site.id.clone(), site)).collect(),
            places: places.into_iter().map(|place| (place.id.clone(), place)).collect(),
            incidents,
        }
    }

    /// A site.
    #[must_use]
    pub fn site(&self, id: &SiteId) -> Option<&Site> {
        self.sites.get(id)
    }

    /// A place.
    #[must_use]
    pub fn place(&self, id: &PlaceId) -> Option<&Place> {
        self.places.get(id)
    }

    /// All places.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.places.values()
    }

    /// A place, then what it is part of, up to the top. A ring, which there
    /// should not be, ends at the depth limit.
    #[must_use]
    pub fn path(&self, id: &PlaceId) -> Vec<PlaceId> {
        let mut path = Vec::new();
        let mut next = Some(id);
        while let Some(place) = next.filter(|_| path.len() <= DEPTH) {
            path.push(place.clone());
            next = self.places.get(place).and_then(|place| place.parent_id.as_ref());
        }
        path
    }

    /// A camera as a decision sees it; nothing if its site is not there.
    /// `path` is [`Self::path`] of its place.
    #[must_use]
    pub fn sight<'a>(&'a self, camera: &'a Camera, path: &'a [PlaceId]) -> Option<Sight<'a>> {
        let site = self.sites.get(&camera.site_id)?;
        Some(Sight { camera, site, path, incident_open: self.incidents.contains(&site.id) })
    }
}
