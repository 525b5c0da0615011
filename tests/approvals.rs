//! Approvals, as an administrator reads them: thousands, in pages.

use crate::support::House;
use crate::support::client::Client;
use crate::support::database::BOTH;
use domain::approval::{ASKED, Approval, State, Subject};
use domain::repository::Rights as _;
use domain::role::Role;
use domain::{ApprovalId, Clock as _, Timestamp};
use serde_json::{Value, json};
use web::token::random;

const DAY: i64 = 24 * 3_600 * 1_000_000;

async fn page(client: &Client, path: &str) -> (Vec<Value>, Option<String>) {
    let (status, list) = client.get(path).await;
    assert_eq!(status.as_u16(), 200, "{path}: {list}");
    (list["items"].as_array().unwrap().clone(), list["next"].as_str().map(str::to_owned))
}

/// All pages, and how long each was.
async fn pages(client: &Client, path: &str) -> (Vec<Value>, Vec<usize>) {
    let (mut all, mut lengths, mut cursor) = (Vec::new(), Vec::new(), String::new());
    loop {
        let (items, next) = page(client, &format!("{path}{cursor}")).await;
        lengths.push(items.len());
        all.extend(items);
        let Some(next) = next else { return (all, lengths) };
        cursor = format!("&cursor={next}");
    }
}

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sites_approvals_come_in_pages_of_200() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let chief = house.sign_in_as(Role::Administrator).await;
        let person = house.person("zhang").await;
        let now = house.clock.now().0;
        let states = [
            State::Requested,
            State::Granted,
            State::Granted,
            State::Granted,
            State::Refused,
            State::Revoked,
            State::Withdrawn,
            State::Renewed,
        ];
        // Every state, and of each: in force, lapsing soon, over, and not begun.
        let times = [
            (now - DAY, now + 300 * DAY),
            (now - DAY, now + 10 * DAY),
            (now - 9 * DAY, now - DAY),
            (now + DAY, now + 20 * DAY),
        ];
        let approval = |n: usize| {
            let (from, until) = times[n / states.len() % times.len()];
            Approval {
                id: ApprovalId::from_random(random()),
                state: states[n % states.len()],
                from: Timestamp(from),
                until: Timestamp(until),
                ..house.approval(Subject::Person(person.id.clone()), &person)
            }
        };
        for n in 0..417 {
            house.store.add_approval(&approval(n)).await.unwrap();
        }
        let all = format!("/api/v1/approvals?site_id={}", house.site);
        let (whole, lengths) = pages(&chief, &all).await;
        assert_eq!(lengths, [200, 200, 17], "{database:?}");
        let mut once = ids(&whole);
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), 417, "no row twice, none left out");
        let (again, lengths) = pages(&chief, &format!("{all}&limit=150")).await;
        assert_eq!((ids(&again) == ids(&whole), lengths), (true, vec![150, 150, 117]));
        assert_eq!(page(&chief, &format!("{all}&limit=5000")).await.0.len(), 200, "not more by asking");

        // A page of one state is a page of that state: the databases find them as people are shown them.
        for word in ASKED {
            let shown = |item: &&Value| match word {
                "lapsing" => item["lapses_soon"] == true,
                word => item["state"] == word,
            };
            let expected: Vec<Value> = whole.iter().filter(shown).cloned().collect();
            let (found, lengths) = pages(&chief, &format!("{all}&state={word}&limit=20")).await;
            assert_eq!(ids(&found), ids(&expected), "{database:?} {word}");
            assert!(expected.len() > 20 && lengths[0] == 20, "{word}: {lengths:?}");
        }
        for wrong in ["state=all", "cursor=soon"] {
            assert_eq!(chief.get(&format!("{all}&{wrong}")).await.0.as_u16(), 422, "{wrong}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_own_approvals_are_asked_for_by_state_as_well() {
    let house = House::start().await;
    let resident = house.sign_in_as(Role::Resident).await;
    assert_eq!(resident.post("/api/v1/approvals", json!({ "site_id": house.site })).await.0.as_u16(), 201);
    let count =
        async |state: &str| page(&resident, &format!("/api/v1/approvals?state={state}")).await.0.len();
    // The household's of a day lapses soon, too.
    assert_eq!((count("granted").await, count("lapsing").await, count("requested").await), (1, 1, 1));
    assert_eq!((count("refused").await, count("expired").await), (0, 0));
    assert_eq!(resident.get("/api/v1/approvals?state=all").await.0.as_u16(), 422);
}
