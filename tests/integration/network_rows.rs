//! The methods of rows on a connection whose statements are futures.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
};

use postgres::NoTls;
use rustling_query::{AsyncConnection, Connect, Decimal, QueryBuilder, Result, SqlState};

use super::{address, server};

#[derive(Clone, Debug, PartialEq, QueryBuilder)]
#[has_many(Order, foreign_key = "customer_id")]
struct Customer {
    id: i32,
    name: String,
    email: Option<String>,
}

#[derive(Clone, Debug, PartialEq, QueryBuilder)]
#[query_builder(table = "orders")]
struct Order {
    id: i64,
    #[belongs_to(Customer)]
    customer_id: i32,
    total: Decimal,
    tags: Option<Vec<Option<String>>>,
}

/// More customers than one INSERT takes.
fn customers() -> Vec<Customer> {
    let customer = |at| Customer {
        id: 0,
        name: format!("c{at:04}"),
        email: Some(format!("{at}@example.org")),
    };
    (0..3000).map(customer).collect()
}

/// Every method, where there are no rows; nor are there any at the end.
async fn every_method(db: AsyncConnection<'_>) -> Result<()> {
    assert_eq!(Customer::insert_all(&customers(), db).await?, 3000);
    let named = || Customer::query().order_by(Customer::name().asc());
    let mut first = named().fetch_one(db).await?;
    assert_eq!(first.email.as_deref(), Some("0@example.org"));
    let page = named().after(Some(&first)).limit(2).fetch_all(db).await?;
    assert_eq!((page[0].name.as_str(), page.len()), ("c0001", 2));
    let mut stream = named().stream(db).await?;
    assert_eq!(stream.next().await.unwrap()?, first);
    assert_eq!(stream.next().await.unwrap()?, page[0]);
    drop(stream);

    first.name = "Ada".into();
    assert!(first.update(db).await?);
    let found = Customer::find_by_id(first.id, db).await?;
    assert_eq!(found.as_ref(), Some(&first));
    assert_eq!(Customer::find_by_name("c0000", db).await?, []);
    assert_eq!(first.upsert(db).await?.name, "Ada");

    let order = Order {
        id: 0,
        customer_id: first.id,
        total: 5i64.into(),
        tags: Some(vec![Some("a \"b\"".into()), None]),
    };
    let order = order.insert(db).await?;
    let found = Order::query().fetch_optional(db).await?;
    assert_eq!(found.as_ref(), Some(&order));
    assert_eq!(order.customer(db).await?.as_ref(), Some(&first));
    let owners = Order::load_customer(&[order.clone(), order.clone()], db).await?;
    assert_eq!(owners, [Some(first.clone()), Some(first.clone())]);
    assert_eq!(first.orders(db).await?, std::slice::from_ref(&order));
    let orders = Customer::load_orders(&page, db).await?;
    assert_eq!(orders, [vec![], vec![]]);
    assert!(order.delete(db).await?);

    let some = || Customer::query().filter(Customer::id().le(page[1].id));
    let nobody = None::<String>;
    let changed = some().set(Customer::email(), nobody).execute(db).await?;
    assert_eq!(changed, 3);
    let changed = some().filter(Customer::email().is_null());
    assert_eq!(changed.count(db).await?, 3);
    assert_eq!(Customer::query().delete(db).await?, 3000);
    Ok(())
}

/// Futures that are dropped after more and more steps, until one is done: whatever came of them,
/// the client answers.
async fn dropped_halfway(client: &tokio_postgres::Client) {
    let everyone = Customer::query().count(client).await.unwrap();
    let mut steps = 0;
    let mut is_done = false;
    while !is_done {
        {
            let mut work = pin!(async {
                let mut rows = Customer::query().stream(client).await?;
                rows.next().await.transpose()?;
                // What is behind a stream that nobody reads does not come.
                drop(rows);
                let found = Customer::query().fetch_all(client).await?;
                found[0].update(client).await
            });
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..steps {
                is_done = work.as_mut().poll(&mut context).is_ready();
                if is_done {
                    break;
                }
                // What came meanwhile is taken in.
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(Customer::query().count(client).await.unwrap(), everyone);
        steps = steps * 2 + 1;
    }
}

#[test]
fn methods_of_rows_give_futures_over_the_wire() {
    let (server, _database) = server();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(rows_wait_for_the_wire(&address(&server)));
}

async fn rows_wait_for_the_wire(address: &str) {
    let (mut client, connection) = tokio_postgres::connect(address, NoTls).await.unwrap();
    let task = tokio::spawn(connection);
    every_method(client.as_connection()).await.unwrap();
    let transaction = client.transaction().await.unwrap();
    every_method(transaction.as_connection()).await.unwrap();
    transaction.commit().await.unwrap();

    let customers = customers();
    Customer::insert_all(&customers, &client).await.unwrap();
    let error = customers[7].insert(&client).await.unwrap_err();
    assert_eq!(error.state(), SqlState::UNIQUE_VIOLATION);
    assert!(error.detail_text().is_some(), "{error:?}");
    let transaction = client.transaction().await.unwrap();
    let error = Customer::insert_all(&customers, &transaction).await;
    assert_eq!(error.unwrap_err().state(), SqlState::UNIQUE_VIOLATION);
    transaction.rollback().await.unwrap();
    assert_eq!(Customer::query().count(&client).await.unwrap(), 3000);

    dropped_halfway(&client).await;
    drop(client);
    task.await.unwrap().unwrap();
}
