//! What holds of whatever an adapter makes of bytes; the fuzz targets ask for it.
//!
//! That nothing private is kept is asked for by leaving out: an adapter is given the same
//! message without everything that it is not meant to look at, and must tell the same.

use super::{DIRECTIONS, METHODS, REASONS, Recent, Told, What, wrong_name};
use domain::device::{Device, DeviceKind};
use domain::event::Event;
use domain::{DeviceId, PlaceId, SiteId, Timestamp};
use serde_json::Value;

/// When everything arrives.
pub(super) const NOW: Timestamp = Timestamp(1_795_392_960_000_000);

/// A device of each kind.
pub(super) fn devices() -> impl Iterator<Item = Device> {
    [DeviceKind::Door, DeviceKind::Button, DeviceKind::Panel].into_iter().map(|kind| Device {
        id: DeviceId::from_random([1; 16]),
        site_id: SiteId::from_random([2; 16]),
        place_id: PlaceId::from_random([3; 16]),
        name: "door".into(),
        kind,
        token_hash: None,
        household_id: None,
        parts: Vec::new(),
        mqtt_topic: None,
        pull: None,
        created_at: Timestamp(0),
    })
}

/// Of every adapter: names can be kept, words are of the closed lists, a time can be shown.
pub(super) fn can_be_kept(told: &Told, device: &Device) {
    let told = &Recent::default().named(device, told.clone());
    assert!(!wrong_name(&told.source) && !wrong_name(&told.event_id), "{told:?}");
    if let Some(at) = told.device_time {
        assert_eq!(Timestamp::parse(&at.to_string()), Some(at), "{told:?}");
    }
    if let Event::Door(event) = told.clone().event(device, NOW) {
        for (word, words) in [(event.direction, DIRECTIONS), (event.method, METHODS), (event.reason, REASONS)]
        {
            assert!(word.is_none_or(|word| word == "other" || words.contains(&word.as_str())), "{told:?}");
        }
    }
}

/// Of those that read what a vendor has thought of: names and words are ours, so a device can
/// put no text of its own into them.
pub(super) fn is_in_our_words(told: &Told, device: &Device) {
    can_be_kept(told, device);
    let told = &Recent::default().named(device, told.clone());
    let ours = |c: char| c.is_ascii_alphanumeric() || "/:_-.".contains(c);
    assert!(told.source.chars().all(ours) && told.event_id.chars().all(ours), "{told:?}");
    if let What::Door { direction, method, reason, .. } = &told.what {
        for (word, words) in [(direction, DIRECTIONS), (method, METHODS), (reason, REASONS)] {
            let word = word.as_deref();
            assert!(word.is_none_or(|word| word == "other" || words.contains(&word)), "{told:?}");
        }
    }
}

/// An object with these members alone; `inner` is for those of the object `within` in it.
pub(super) fn only(value: &Value, members: &[&str], within: &str, inner: &[&str]) -> Value {
    let mut value = value.clone();
    if let Some(object) = value.as_object_mut() {
        object.retain(|name, _| members.contains(&name.as_str()) || name == within);
        if let Some(object) = object.get_mut(within).and_then(Value::as_object_mut) {
            object.retain(|name, _| inner.contains(&name.as_str()));
        }
    }
    value
}
