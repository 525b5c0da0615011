//! Many people at once: what the answers to all of them rest on is read together, in a number
//! of statements that grows by one for some hundred people, and is what it would be for each
//! of them alone.

use crate::support::database::{BOTH, Database};
use crate::support::dice::Dice;
use crate::support::statements::Statements;
use crate::support::{House, camera_at};
use domain::access::{Decision, Denial, Standing};
use domain::approval::Subject;
use domain::person::Person;
use domain::repository::{
    Cameras as _, Each, Error, People, Persons as _, Repository, Rights as _, TOGETHER,
};
use domain::role::{Role, Zone};
use domain::{CameraId, Clock as _, PersonId, SessionId, ViewerKeyId, ZoneId};
use futures_util::future::join_all;
use sharp_eyes::questions::{Credential, Question, Questions};
use std::collections::BTreeSet;
use std::sync::Arc;
use web::token::random;

/// Different people who ask at the same time.
const PEOPLE: usize = 2_000;

/// An id that says which it is.
fn id(kind: u32, n: usize) -> String {
    format!("{kind:08x}{n:024x}")
}

fn person(n: usize) -> PersonId {
    PersonId::parse(&id(3, n)).unwrap()
}

/// Many people, each in a household of their own, with a session (every fourth: with a player's
/// key). Every third household is approved for nothing.
async fn move_in(house: &House) {
    let (site, lobby, now) = (&house.site, &house.lobby, house.clock.now().0);
    let far = now + 1_000_000_000_000;
    let mut values: [Vec<String>; 7] = Default::default();
    for n in 0..PEOPLE {
        let (person, unit, home, key) = (id(3, n), id(6, n), id(7, n), bytes(house, n));
        let rows = [
            format!("('{person}', 'p-{n}', 'n', 'en', '-', 0, 1)"),
            format!("('{unit}', '{site}', '{lobby}', 'u {n}', 1)"),
            format!("('{home}', '{unit}', 1, null)"),
            format!("('{person}', '{home}', 1, null)"),
            format!("('{}', '{site}', '{home}', 'granted', 1, {far}, '', '{person}', 1)", id(8, n)),
            format!("('{}', '{person}', {key}, 'test', 'password', {now}, {now}, {far})", id(9, n)),
            format!("('{}', '{person}', 'k-{n}', 'k', {key}, {key}, 1)", id(10, n)),
        ];
        for (at, row) in rows.into_iter().enumerate() {
            let left_out = match at {
                4 => n.is_multiple_of(3),
                5 => n.is_multiple_of(4),
                6 => !n.is_multiple_of(4),
                _ => false,
            };
            if !left_out {
                values[at].push(row);
            }
        }
    }
    let tables = [
        "persons",
        "units",
        "households",
        "household_members",
        "approvals (id, site_id, household_id, state, from_at, until_at, message, requested_by, requested_at)",
        "sessions (id, person_id, token_hash, user_agent, begun_by, created_at, seen_at, expires_at)",
        "viewer_keys (id, person_id, login, name, ha1_md5_sealed, ha1_sha256_sealed, created_at)",
    ];
    for (table, rows) in tables.into_iter().zip(values) {
        for rows in rows.chunks(500) {
            house.sql(&format!("insert into {table} values {}", rows.join(", "))).await;
        }
    }
}

/// Bytes that are each person's own, as each database writes them.
fn bytes(house: &House, n: usize) -> String {
    if house.settings.database.starts_with("sqlite") {
        format!("x'{n:032x}'")
    } else {
        format!("'\\x{n:032x}'")
    }
}

fn question(n: usize, camera: &CameraId) -> Question {
    let credential = if n.is_multiple_of(4) {
        Credential::ViewerKey(ViewerKeyId::parse(&id(10, n)).unwrap())
    } else {
        Credential::Session(SessionId::parse(&id(9, n)).unwrap())
    };
    Question { person: person(n), credential, camera: camera.clone() }
}

/// One camera, many people, and those who answer them.
async fn house_of_many(database: Database) -> (House, CameraId, Questions, Statements) {
    let house = House::start_on(database).await;
    move_in(&house).await;
    let camera = camera_at(&house.site, &house.gate, "rtsp://127.0.0.1:9/a");
    house.store.add_camera(&camera).await.unwrap();
    let statements = Statements::counted();
    let store: Arc<dyn Repository> = house.store.clone();
    let questions = statements.span.in_scope(|| Questions::new(store, Arc::new(house.clock.clone())));
    (house, camera.id, questions, statements)
}

/// All of them ask before the first is answered, if there is one thread.
async fn ask(questions: &Questions, asked: &[Question]) -> Vec<Result<Decision, Error>> {
    let asking = join_all(asked.iter().map(|question| questions.ask(question)));
    let answers = tokio::task::unconstrained(asking).await;
    answers.into_iter().map(|answer| answer.map(|(decision, _)| decision)).collect()
}

#[tokio::test]
async fn what_two_thousand_people_ask_is_answered_from_a_few_statements() {
    for database in BOTH {
        let (house, camera, questions, statements) = house_of_many(database).await;
        let asked: Vec<_> = (0..PEOPLE).map(|n| question(n, &camera)).collect();
        statements.take().await;
        let answers = ask(&questions, &asked).await;
        let made = statements.take().await;
        for (n, answer) in answers.iter().enumerate() {
            let denied = Decision::Deny(Denial::NotApproved);
            match answer {
                Ok(Decision::Allow { role: Role::Resident, .. }) => assert_ne!(n % 3, 0, "{database:?} {n}"),
                answer => assert!(n % 3 == 0 && *answer == Ok(denied), "{database:?} {n}: {answer:?}"),
            }
        }
        // People, roles, homes and approvals of each lot, what they have proven, one camera, the scene.
        let lots = |people: usize| people.div_ceil(TOGETHER);
        let most = 4 * lots(PEOPLE) + lots(PEOPLE * 3 / 4) + lots(PEOPLE / 4) + 1 + 3;
        assert!(made <= most, "{database:?}: {made} statements, and {most} would do");
        assert!(made >= most / 2, "{database:?}: {made} statements were counted");

        // One leaves, one is let in, the proof of one is gone: the next answers say so.
        house
            .sql(&format!("update household_members set until_at = 2 where person_id = '{}'", id(3, 1)))
            .await;
        house
            .sql(&format!("update approvals set household_id = '{}' where id = '{}'", id(7, 3), id(8, 2)))
            .await;
        house.sql(&format!("delete from sessions where id = '{}'", id(9, 5))).await;
        house.sql(&format!("delete from viewer_keys where id = '{}'", id(10, 4))).await;
        let answers = ask(&questions, &asked).await;
        let may: Vec<_> = answers[..9].iter().map(|answer| answer.clone().unwrap().is_allowed()).collect();
        let expected = [false, false, false, true, false, false, false, true, true];
        assert_eq!(may, expected, "{database:?}");
        house.stop().await;
    }
}

#[tokio::test]
async fn a_no_takes_as_many_statements_as_any_other_answer() {
    for database in BOTH {
        let (house, camera, questions, statements) = house_of_many(database).await;
        let other = CameraId::from_random(random());
        let nobody = Question { person: PersonId::from_random(random()), ..question(1, &camera) };
        let mut counts = BTreeSet::new();
        for asked in [question(1, &camera), question(3, &camera), question(1, &other), nobody] {
            statements.take().await;
            ask(&questions, &[asked]).await;
            counts.insert(statements.take().await);
        }
        assert_eq!(counts, BTreeSet::from([4 + 1 + 1 + 3]), "{database:?}");
        house.stop().await;
    }
}

/// Has each read of this row fail as a statement, as a damaged page would.
async fn damage(house: &House, database: Database, approval: &str) {
    let fails = match database {
        Database::Sqlite => "abs(a.from_at * 0 - 9223372036854775807 - 1)",
        Database::Postgres => "1 / (a.from_at * 0)",
    };
    house.sql("alter table approvals rename to kept_approvals").await;
    // Its columns are in the order of the table's: statements that are kept know them by that.
    house
        .sql(&format!(
            "create view approvals as select a.seq, a.id, a.site_id, a.household_id, a.person_id, a.camera_id,
                a.place_id, a.state, a.from_at, case when a.id = '{approval}' then {fails} else a.until_at end
                as until_at, a.schedule, a.message, a.requested_by, a.requested_at, a.decided_by, a.decided_at,
                a.reason, a.renews
             from kept_approvals a"
        ))
        .await;
}

#[tokio::test]
async fn what_cannot_be_read_fails_only_those_who_need_it() {
    for database in BOTH {
        let (house, camera, questions, statements) = house_of_many(database).await;
        let odd = camera_at(&house.site, &house.gate, "rtsp://127.0.0.1:9/b");
        house.store.add_camera(&odd).await.unwrap();
        let mut asked: Vec<_> = (0..PEOPLE).map(|n| question(n, &camera)).collect();
        asked.push(question(1, &odd.id));
        house.sql(&format!("update cameras set visibility = '?' where id = '{}'", odd.id)).await;
        // Of two who live together both; and somebody's session, and somebody's own row.
        house
            .sql(&format!("insert into household_members values ('{}', '{}', 1, null)", id(3, 2), id(7, 1)))
            .await;
        house.sql(&format!("update approvals set state = '?' where id = '{}'", id(8, 1))).await;
        house.sql(&format!("update sessions set begun_by = '?' where id = '{}'", id(9, 7))).await;
        let failed = |answers: &[Result<Decision, Error>]| -> Vec<usize> {
            (0..answers.len()).filter(|n| answers[*n].is_err()).collect()
        };
        let answers = ask(&questions, &asked).await;
        assert_eq!(failed(&answers), [1, 2, 7, PEOPLE], "{database:?}");
        assert!(answers[8].as_ref().unwrap().is_allowed(), "{database:?}");

        // A statement fails with all who are in it, and is asked again for fewer of them.
        damage(&house, database, &id(8, 1_000)).await;
        statements.take().await;
        let answers = ask(&questions, &asked).await;
        let why = &answers[1_000];
        assert_eq!(failed(&answers), [1, 2, 7, 1_000, PEOPLE], "{database:?}: {why:?}");
        let made = statements.take().await;
        assert!(made < 150, "{database:?}: {made} statements");
        house.sql("drop view approvals").await;
        house.sql("alter table kept_approvals rename to approvals").await;
        house.stop().await;
    }
}

/// A random world: who lives where with whom, holds which roles, has which approvals.
async fn world(house: &House, dice: &mut Dice) -> Vec<Person> {
    let now = house.clock.now();
    let hash = house.person("first").await.password_hash;
    let mut homes = Vec::new();
    for n in 0..60 {
        homes.push(house.household(&format!("home {n}")).await);
    }
    let zone = Zone {
        id: ZoneId::from_random(random()),
        site_id: house.site.clone(),
        name: "east".into(),
        places: [house.gate.clone(), house.lobby.clone()].into(),
        created_at: now,
    };
    house.store.add_zone(&zone).await.unwrap();
    let mut people = Vec::new();
    for n in 0..TOGETHER + 20 {
        let person = Person {
            id: PersonId::from_random(random()),
            login: format!("login {n:04}"),
            name: "name".into(),
            locale: "en".into(),
            password_hash: hash.clone(),
            disabled: dice.one_in(9),
            created_at: now,
        };
        house.store.add_person(&person).await.unwrap();
        for _ in 0..dice.roll(3) {
            let home = &homes[usize::try_from(dice.roll(60)).unwrap()];
            house.store.add_member(home, &person.id, now).await.unwrap();
            if dice.one_in(3) {
                house.store.end_member(home, &person.id, now).await.unwrap();
            }
        }
        if dice.one_in(4) {
            let mut grant = house.grant(&person, dice.pick(&[Role::Patrol, Role::GridWorker1, Role::Owner]));
            grant.zone = (grant.role == Role::GridWorker1).then(|| zone.clone());
            house.store.add_grant(&grant).await.unwrap();
        }
        if dice.one_in(3) {
            house
                .store
                .add_approval(&house.approval(Subject::Person(person.id.clone()), &person))
                .await
                .unwrap();
        }
        people.push(person);
    }
    for home in &homes {
        for _ in 0..dice.roll(3) {
            let subject = Subject::Household(home.clone());
            house.store.add_approval(&house.approval(subject, &people[0])).await.unwrap();
        }
    }
    people
}

/// Everything in it, in an order.
fn text(standing: &Standing) -> String {
    let Standing { person_id, disabled, grants, memberships, approvals } = standing.clone();
    let sorted = |texts: Vec<String>| texts.into_iter().collect::<BTreeSet<_>>();
    format!(
        "{person_id} {disabled} {:?} {:?} {:?}",
        sorted(grants.iter().map(|one| format!("{one:?}")).collect()),
        sorted(memberships.iter().map(|one| format!("{one:?}")).collect()),
        sorted(approvals.iter().map(|one| format!("{one:?}")).collect())
    )
}

fn texts(each: &Each<PersonId, Standing>) -> BTreeSet<String> {
    each.values().filter_map(|one| one.as_ref().unwrap().as_ref()).map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_of_many_is_what_is_read_of_each() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let mut dice = Dice(rand_seed());
        println!("seed {}", dice.0);
        let people = world(&house, &mut dice).await;
        let nobody = PersonId::from_random(random());
        let mut ids: Vec<_> = people.iter().map(|person| person.id.clone()).collect();
        ids.push(nobody.clone());
        let many = house.store.each_standing(&ids).await;
        assert_eq!(many.len(), ids.len());
        assert!(matches!(many[&nobody], Ok(None)), "{database:?}");
        let (mut grants, mut homes, mut approvals) = (0, 0, 0);
        for id in &ids[..people.len()] {
            let alone = house.store.standing(id).await.unwrap().unwrap();
            let together = many[id].as_ref().unwrap().as_ref().unwrap();
            assert_eq!(text(&alone), text(together), "{database:?}");
            // What is whose is asked of the database in other words.
            let count = async |what: &str| {
                house.sql_count(&format!("select count(*) from {what} person_id = '{id}'")).await
            };
            assert_eq!(alone.person_id, *id);
            if dice.one_in(8) {
                assert_eq!(count("grants where").await, alone.grants.len() as i64);
                assert_eq!(count("household_members where").await, alone.memberships.len() as i64);
                let of_homes = "(select a.id, m.person_id from approvals a join household_members m
                    on m.household_id = a.household_id union select id, person_id from approvals) b where";
                assert_eq!(count(of_homes).await, alone.approvals.len() as i64, "{database:?}");
            }
            (grants, homes) = (grants + alone.grants.len(), homes + alone.memberships.len());
            approvals += alone.approvals.len();
        }
        assert!(grants > 20 && homes > 100 && approvals > 100, "{grants} {homes} {approvals}");
        // A page of the site's people has the same.
        let page = People { after: None, limit: 500 };
        let page = house.store.standings(&house.site, &page).await.unwrap();
        assert!(page.is_sorted_by(|a, b| a.0.login < b.0.login));
        let many = texts(&many);
        for (person, standing) in &page {
            assert!(many.contains(&text(standing)), "{database:?}: {}", person.login);
        }
        assert!(page.len() > 150, "{}", page.len());

        let mut cameras = vec![CameraId::from_random(random())];
        for _ in 0..40 {
            let camera = camera_at(&house.site, &house.gate, "rtsp://127.0.0.1:9/a");
            house.store.add_camera(&camera).await.unwrap();
            cameras.push(camera.id);
        }
        let many = house.store.each_camera(&cameras).await;
        for id in &cameras {
            assert_eq!(house.store.camera(id).await, many[id], "{database:?}");
        }
        assert_eq!(many.values().filter(|camera| matches!(camera, Ok(Some(_)))).count(), 40);
        assert!(house.store.each_session(&[]).await.is_empty());
        house.stop().await;
    }
}

fn rand_seed() -> u64 {
    u64::from_be_bytes(random())
}
