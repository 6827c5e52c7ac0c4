//! Many independent checks on a few threads.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;

/// Threads that checks run on: one for each processor.
#[must_use]
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

/// Runs `work` for each of `0..count` on `threads` threads; the results come in order.
///
/// # Panics
/// Where `work` panics.
pub fn in_parallel<T: Send>(
    count: usize,
    threads: usize,
    work: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(count));
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, count.max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    let result = work(index);
                    results.lock().push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner();
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Runs `body`; a panic becomes an error with its message.
///
/// # Errors
/// The panic's message.
pub fn without_panics<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload: Box<dyn Any + Send>| {
        payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a message".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order() {
        assert_eq!(
            in_parallel(100, 3, |n| n * n),
            (0..100).map(|n| n * n).collect::<Vec<_>>()
        );
        assert_eq!(in_parallel(0, 3, |n| n), Vec::<usize>::new());
    }

    #[test]
    fn panics_become_errors() {
        assert_eq!(without_panics(|| 1), Ok(1));
        assert_eq!(
            without_panics(|| panic!("number {}", 7)),
            Err::<(), _>("number 7".to_owned())
        );
    }
}
