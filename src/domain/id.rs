//! Ids: 128 random bits as 32 hexadecimal digits. They appear in URLs, so
//! nothing can be learned from one: no order, no time, no count.

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// An id from 16 random bytes.
            #[must_use]
            pub fn from_random(bytes: [u8; 16]) -> Self {
                Self(bytes.iter().map(|b| format!("{b:02x}")).collect())
            }

            /// Reads an id; nothing if it cannot be one.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let ok = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                ok.then(|| Self(text.to_owned()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

ids! {
    /// A site.
    SiteId,
    /// A place.
    PlaceId,
    /// A camera.
    CameraId,
    /// A person.
    PersonId,
    /// A role held by a person.
    GrantId,
    /// A signed-in session, as its owner sees it in the list; not its token.
    SessionId,
    /// A key for RTSP players.
    ViewerKeyId,
    /// A passkey.
    PasskeyId,
    /// A device that sends events.
    DeviceId,
    /// A door event.
    DoorEventId,
    /// An event of a device that is not about a door.
    DeviceEventId,
    /// A row of the viewing register.
    ViewingId,
    /// An area of responsibility.
    ZoneId,
    /// A flat or a house.
    UnitId,
    /// The people of a unit.
    HouseholdId,
    /// The decision that somebody may watch.
    ApprovalId,
    /// An invitation to join a household.
    InvitationId,
    /// Somebody's claim to live in a site.
    RegistrationId,
    /// The handling of an alarm.
    IncidentId,
    /// A joint-defence group.
    GroupId,
    /// A test of an alarm button.
    ButtonTestId,
    /// A message that leaves the house.
    MessageId,
    /// A browser that wants to be told.
    SubscriptionId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_nothing_else_is_one() {
        let id = CameraId::from_random([0xab; 16]);
        assert_eq!(CameraId::parse(id.as_str()), Some(id));
        for bad in ["", "x", "../../etc", &"A".repeat(32), &"0".repeat(33)] {
            assert_eq!(CameraId::parse(bad), None, "{bad}");
        }
    }
}
