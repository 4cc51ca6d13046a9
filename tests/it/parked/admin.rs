//! The same over HTTP, at the address of the command API and at that of the projections.

use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::poison::{Projecting, poison};
use super::{MEND, PATIENCE, REFUSE, database, equals_the_log, open, own, receive, rows, shows, waiting};
use crate::on_both_logs;
use crate::shop::Log;

on_both_logs!(what_is_parked_is_seen_folded_again_or_left_out);

/// An admin API.
struct Admin {
    base: String,
}

impl Admin {
    async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(reqwest::get(format!("{}{path}", self.base)).await).await
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let path = format!("{}/admin/v1/parked/{path}", self.base);
        answer(reqwest::Client::new().post(path).json(body).send().await).await
    }

    /// Its `code`, with the status.
    async fn refused(&self, path: &str, body: &Value) -> (u16, String) {
        let (status, problem) = self.post(path, body).await;
        (status.as_u16(), code(&problem))
    }
}

fn code(problem: &Value) -> String {
    problem["code"].as_str().unwrap_or_default().to_owned()
}

async fn answer(answer: reqwest::Result<reqwest::Response>) -> (StatusCode, Value) {
    let answer = answer.expect("answers");
    (answer.status(), answer.json().await.expect("JSON"))
}

/// Until `/readyz` there says this of parked events; requests are sent there all the same.
async fn degraded(base: &str, parked: bool) {
    testkit::eventually("what /readyz says of parked events", PATIENCE, async || {
        let answer = reqwest::get(format!("{base}/readyz")).await.ok()?;
        assert_eq!(answer.status(), 200);
        let report: Value = answer.json().await.expect("JSON");
        (report["degraded"] == json!(["parked_events"]) || !parked && report.get("degraded").is_none())
            .then_some(())
    })
    .await;
}

async fn what_is_parked_is_seen_folded_again_or_left_out(log: Log) {
    let mut shop = open(log).await;
    let mut database = database(&shop).await;
    let admin = Admin {
        base: shop.process.commands.clone(),
    };
    degraded(&shop.process.queries, false).await;
    sqlx::raw_sql(REFUSE)
        .execute(&mut database)
        .await
        .expect("refuses");
    receive(&shop, "MUG", 1).await;
    receive(&shop, "MUG", 2).await;
    waiting(&mut database, "availability", 2).await;
    degraded(&shop.process.queries, true).await;
    let (_, listed) = admin.get("/admin/v1/parked?projection=availability").await;
    let (first, more) = (&listed["data"][0], &listed["has_more"]);
    assert_eq!(
        (&first["key"], &first["waiting"], more),
        (&json!("stock_MUG"), &json!(1), &json!(false)),
        "{listed}"
    );
    assert!(first["error"].to_string().contains("no more mugs"), "{listed}");
    let (status, retried) = admin.post("availability/retry", &json!({})).await;
    assert_eq!(
        (status.as_u16(), &retried["waiting"]),
        (200, &json!(1)),
        "{retried}"
    );
    assert_eq!(retried["data"][0]["left"]["at"], first["at"], "{retried}");

    sqlx::raw_sql(MEND).execute(&mut database).await.expect("mends");
    let (_, retried) = admin
        .post("availability/retry", &json!({ "key": "stock_MUG" }))
        .await;
    let all = json!({ "data": [{ "key": "stock_MUG", "applied": 2, "left": null }], "waiting": 0 });
    assert_eq!(retried, all);
    shows(&shop, "MUG", 12).await;
    degraded(&shop.process.queries, false).await;

    // Owners halt at a record that nobody can read, so only the projections run from here on.
    assert!(shop.process.terminate().await, "{}", shop.process.tail());
    let (at, first) = poison(&shop).await;
    let projecting = Projecting::start(&shop, "park");
    waiting(&mut database, "availability", 3).await;
    let admin = Admin {
        base: projecting.base().await,
    };
    degraded(&admin.base, true).await;
    refusals(&admin, &format!("{at}@{first}"), &format!("{at}@{}", first.0 + 1)).await;
    left_out(
        &admin,
        &mut database,
        [first.0, first.0 + 1].map(|offset| format!("{at}@{offset}")),
    )
    .await;
    equals_the_log(&shop).await;
}

/// Both pieces of junk; the event behind them, one more mug, is folded with the second.
async fn left_out(admin: &Admin, database: &mut PgConnection, junk: [String; 2]) {
    let skip = |at: &str| json!({ "key": "stock_MUG", "at": at, "reason": "written by a test" });
    let (_, skipped) = admin.post("availability/skip", &skip(&junk[0])).await;
    assert_eq!(
        (&skipped["applied"], &skipped["left"]["at"]),
        (&json!(0), &json!(junk[1])),
        "{skipped}"
    );
    let (_, skipped) = admin.post("availability/skip", &skip(&junk[1])).await;
    assert_eq!(skipped, json!({ "key": "stock_MUG", "applied": 1, "left": null }));
    assert_eq!(rows(database).await, [("CUP", 20), ("MUG", 13)].map(own));
    waiting(database, "availability", 0).await;
}

/// Each is a problem with a code, and nothing changes.
async fn refusals(admin: &Admin, first: &str, behind: &str) {
    let skip = |at: &str, reason: &str| json!({ "key": "stock_MUG", "at": at, "reason": reason });
    let cases = [
        ("availability/skip", skip(behind, "x"), 409, "not_first_parked"),
        (
            "availability/skip",
            skip("orders/zero@1", "x"),
            422,
            "invalid_value",
        ),
        (
            "availability/skip",
            skip("x.orders.events/0@1", "x"),
            422,
            "invalid_value",
        ),
        ("availability/skip", skip(first, " "), 422, "invalid_value"),
        (
            "availability/skip",
            json!({ "key": "stock_MUG", "at": first }),
            422,
            "missing_field",
        ),
        ("availability/retry", json!({ "keys": [] }), 422, "unknown_field"),
        ("stock_states/skip", skip(first, "x"), 409, "owners_decide"),
        ("orders/retry", json!({}), 404, "nothing_parked"),
        ("avail/retry", json!({}), 404, "projection_not_found"),
    ];
    for (path, body, status, code) in cases {
        let refused = admin.refused(path, &body).await;
        assert_eq!(refused, (status, code.to_owned()), "{path} {body}");
    }
    for (asked, status, expected) in [
        ("projection=avail", 404, "projection_not_found"),
        ("limit=0", 400, "invalid_parameter"),
        ("limit=201", 400, "invalid_parameter"),
        ("colour=red", 400, "unknown_parameter"),
    ] {
        let (found, problem) = admin.get(&format!("/admin/v1/parked?{asked}")).await;
        assert_eq!((found.as_u16(), &*code(&problem)), (status, expected), "{asked}");
    }
    let (_, listed) = admin.get("/admin/v1/parked?limit=1").await;
    assert_eq!(
        (listed["data"].as_array().map(Vec::len), &listed["has_more"]),
        (Some(1), &json!(true))
    );
}
