//! Pipelines: batches from a source through stages, on all threads.
//!
//! A pipeline ends in a *breaker* that takes everything in (an aggregate, a sort, the build
//! side of a join: a [`Sink`], one per thread) or in somebody who pulls ([`PipelineStream`]).
//! Workers of the process's rayon pool take chunks of the source one after the other
//! (morsel-driven parallelism, Leis et al. 2014). Every chunk has a number, so that order is
//! kept wherever it shows: what is pulled comes in the order of the source, sorts are stable,
//! groups come in the order of their first rows, exactly as in row mode.
//!
//! No worker ever waits for another pipeline: sources that are themselves computed
//! ([`Source::Stream`]) are pulled by the thread that runs the pipeline.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;

use crate::{
    Result,
    executor::ExecContext,
    vector::{
        BatchStream, Limits,
        batch::Batch,
        join::KeyFilter,
        scan::{Chunk, ScanSource},
    },
};

/// Takes a batch, gives any number of batches on.
pub(crate) trait Stage: Send + Sync {
    /// What must be there before the first batch; runs once, on the thread that runs the
    /// pipeline.
    fn prepare(&self, _context: &ExecContext) -> Result<()> {
        Ok(())
    }

    /// Whether the first columns of what it gives are those of its input.
    fn keeps_columns(&self) -> bool {
        false
    }

    /// Input columns, each with what rows must pass that the stage does not drop. Only asked once
    /// it is prepared.
    fn key_filters(&self) -> Vec<(usize, Arc<KeyFilter>)> {
        Vec::new()
    }

    /// Works on `batch`.
    fn apply(
        &self,
        batch: Batch,
        context: &ExecContext,
        emit: &mut dyn FnMut(Batch) -> Result<()>,
    ) -> Result<()>;
}

/// Takes in what a pipeline gives, on one thread.
pub(crate) trait Sink: Send {
    /// Takes in `batch`; its rows have the places from `place` on in the pipeline's order.
    fn consume(&mut self, place: u64, batch: Batch, context: &ExecContext) -> Result<()>;
}

/// Where batches come from.
pub(crate) enum Source {
    /// A table, which workers read side by side.
    Scan(Box<ScanSource>),
    /// Something computed.
    Stream(Box<dyn BatchStream>),
}

/// A source and its stages, each with the number of the plan node that it works for.
pub(crate) struct Pipeline {
    source: Source,
    /// The plan node of a scan source.
    source_node: usize,
    stages: Vec<(usize, Box<dyn Stage>)>,
    limits: Limits,
}

/// Bits of a place that number the rows of a chunk.
const ROW_BITS: u32 = 32;

impl Pipeline {
    /// Batches of `source`, which works for plan node `node`.
    pub(crate) fn new(source: Source, node: usize, limits: Limits) -> Pipeline {
        Pipeline {
            source,
            source_node: node,
            stages: Vec::new(),
            limits,
        }
    }

    /// Adds a stage for plan node `node`.
    pub(crate) fn push(&mut self, node: usize, stage: Box<dyn Stage>, context: &ExecContext) {
        if let Some(measured) = context
            .measurements
            .as_ref()
            .and_then(|measurements| measurements.node(node))
        {
            measured.start();
        }
        self.stages.push((node, stage));
    }

    /// Makes a stream of it.
    pub(crate) fn into_stream(self) -> Box<dyn BatchStream> {
        match self.source {
            Source::Stream(stream) if self.stages.is_empty() => stream,
            _ => Box::new(PipelineStream {
                target: self.limits.batch_rows.min(1024),
                wave: 1,
                pipeline: self,
                ready: VecDeque::new(),
                pending: None,
                prepared: false,
                ended: false,
            }),
        }
    }

    fn prepare(&mut self, context: &ExecContext) -> Result<()> {
        for (_, stage) in &self.stages {
            stage.prepare(context)?;
        }
        if let Source::Scan(scan) = &mut self.source {
            let mut filters = Vec::new();
            for (_, stage) in &self.stages {
                filters.extend(stage.key_filters());
                if !stage.keeps_columns() {
                    break;
                }
            }
            scan.set_key_filters(filters)?;
        }
        Ok(())
    }

    /// Runs everything into sinks, one for every thread that took part.
    pub(crate) fn run<S: Sink>(
        mut self,
        context: &ExecContext,
        make: impl Fn() -> Result<S> + Sync,
    ) -> Result<Vec<S>> {
        self.prepare(context)?;
        let stages = &self.stages;
        let consume = |sink: &mut S, chunk: u64, batch: Batch| {
            let mut place = chunk << ROW_BITS;
            run_stages(stages, batch, context, &mut |batch| {
                let rows = batch.rows as u64;
                sink.consume(place, batch, context)?;
                place += rows;
                Ok(())
            })
        };
        let threads = self.limits.threads();
        let mut sinks = vec![make()?];
        match &mut self.source {
            Source::Scan(scan) if threads > 1 => {
                let scan = &**scan;
                let node = self.source_node;
                let rows = self.limits.batch_rows;
                let failed = AtomicBool::new(false);
                let results: Mutex<Vec<Result<S>>> = Mutex::new(Vec::new());
                let work = |sink: Option<S>| -> Result<Option<S>> {
                    let mut chunk = Chunk::default();
                    let mut sink = sink;
                    while let Some(part) = scan.take_part() {
                        while !failed.load(Ordering::Relaxed)
                            && scan.fill_part(part, &mut chunk, rows, context)?
                        {
                            context.check()?;
                            let batch = read(scan, &mut chunk, node, stages, context)?;
                            let to = match &mut sink {
                                Some(sink) => sink,
                                None => sink.insert(make()?),
                            };
                            consume(to, chunk.number, batch)?;
                        }
                    }
                    Ok(sink)
                };
                let run = |sink: Option<S>| match work(sink) {
                    Ok(None) => {}
                    Ok(Some(sink)) => results.lock().push(Ok(sink)),
                    Err(error) => {
                        failed.store(true, Ordering::Relaxed);
                        results.lock().push(Err(error));
                    }
                };
                let run = &run;
                rayon::scope(|scope| {
                    for sink in sinks.drain(..) {
                        scope.spawn(move |_| run(Some(sink)));
                    }
                    for _ in 1..threads {
                        scope.spawn(move |_| run(None));
                    }
                });
                sinks = results.into_inner().into_iter().collect::<Result<_>>()?;
            }
            Source::Scan(scan) => {
                let mut chunk = Chunk::default();
                while scan.fill(&mut chunk, self.limits.batch_rows, context)? {
                    context.check()?;
                    let batch = read(scan, &mut chunk, self.source_node, stages, context)?;
                    consume(&mut sinks[0], chunk.number, batch)?;
                }
            }
            Source::Stream(stream) => {
                let mut number = 0;
                let mut more = true;
                while more {
                    context.check()?;
                    let mut wave = Vec::with_capacity(threads);
                    while wave.len() < threads {
                        match stream.next(context)? {
                            Some(batch) => wave.push(batch),
                            None => {
                                more = false;
                                break;
                            }
                        }
                    }
                    while sinks.len() < wave.len() {
                        sinks.push(make()?);
                    }
                    let first = number;
                    number += wave.len() as u64;
                    let jobs = sinks.iter_mut().zip(wave);
                    let jobs = (first..).zip(jobs);
                    in_parallel(jobs.map(|(number, (sink, batch))| {
                        let consume = &consume;
                        move || consume(sink, number, batch)
                    }))?;
                }
            }
        }
        Ok(sinks)
    }
}

/// Decodes a chunk, and books the time under the scan's node and those behind it.
fn read(
    scan: &ScanSource,
    chunk: &mut Chunk,
    node: usize,
    stages: &[(usize, Box<dyn Stage>)],
    context: &ExecContext,
) -> Result<Batch> {
    let Some(measurements) = &context.measurements else {
        return scan.decode(chunk, context);
    };
    let start = context.env.now();
    let batch = scan.decode(chunk, context)?;
    let took = context.env.now().saturating_sub(start).as_nanos();
    let nanos = u64::try_from(took).unwrap_or(u64::MAX);
    if let Some(measured) = measurements.node(node) {
        measured.add(batch.rows as u64, nanos);
    }
    for (behind, _) in stages {
        if let Some(measured) = measurements.node(*behind) {
            measured.add(0, nanos);
        }
    }
    Ok(batch)
}

/// Runs jobs side by side; gives the error of the first that failed.
fn in_parallel<J>(jobs: impl Iterator<Item = J>) -> Result<()>
where
    J: FnOnce() -> Result<()> + Send,
{
    let mut jobs: Vec<J> = jobs.collect();
    if jobs.len() == 1 {
        return jobs.pop().map_or(Ok(()), |job| job());
    }
    let mut results: Vec<Result<()>> = jobs.iter().map(|_| Ok(())).collect();
    rayon::scope(|scope| {
        for (job, result) in jobs.into_iter().zip(&mut results) {
            scope.spawn(move |_| *result = job());
        }
    });
    results.into_iter().collect()
}

/// Takes a batch through stages. With measurements, a stage's time is added to its node and to
/// those of the stages behind it: a node's time includes its inputs'.
fn run_stages(
    stages: &[(usize, Box<dyn Stage>)],
    batch: Batch,
    context: &ExecContext,
    emit: &mut dyn FnMut(Batch) -> Result<()>,
) -> Result<()> {
    let Some(((node, stage), rest)) = stages.split_first() else {
        return if batch.rows == 0 { Ok(()) } else { emit(batch) };
    };
    if batch.rows == 0 {
        return Ok(());
    }
    let Some(measurements) = &context.measurements else {
        return stage.apply(batch, context, &mut |batch| {
            run_stages(rest, batch, context, emit)
        });
    };
    let start = context.env.now();
    let mut elsewhere = Duration::ZERO;
    let mut rows = 0;
    stage.apply(batch, context, &mut |batch| {
        rows += batch.rows as u64;
        let start = context.env.now();
        let done = run_stages(rest, batch, context, emit);
        elsewhere += context.env.now().saturating_sub(start);
        done
    })?;
    let own = context
        .env
        .now()
        .saturating_sub(start)
        .saturating_sub(elsewhere);
    let nanos = u64::try_from(own.as_nanos()).unwrap_or(u64::MAX);
    if let Some(measured) = measurements.node(*node) {
        measured.add(rows, nanos);
    }
    for (behind, _) in rest {
        if let Some(measured) = measurements.node(*behind) {
            measured.add(0, nanos);
        }
    }
    Ok(())
}

/// A pipeline that is pulled: a few chunks at a time go through the stages on several threads,
/// more as the demand goes on, so that a LIMIT stops its input soon.
struct PipelineStream {
    pipeline: Pipeline,
    ready: VecDeque<Batch>,
    /// What is left of a batch of the source that was cut.
    pending: Option<Batch>,
    /// Rows per chunk.
    target: usize,
    /// Chunks per wave.
    wave: usize,
    prepared: bool,
    ended: bool,
}

impl PipelineStream {
    /// Up to `wave` batches of a computed source, none larger than `target`.
    fn pull(&mut self, context: &ExecContext) -> Result<Vec<Batch>> {
        let mut wave = Vec::new();
        while wave.len() < self.wave {
            let next = match (self.pending.take(), &mut self.pipeline.source) {
                (Some(batch), _) => Some(batch),
                (None, Source::Stream(stream)) => stream.next(context)?,
                (None, Source::Scan(_)) => None,
            };
            match next {
                None => {
                    self.ended = true;
                    break;
                }
                Some(batch) if batch.rows > self.target => {
                    self.pending = Some(batch.slice(self.target, batch.rows - self.target));
                    wave.push(batch.slice(0, self.target));
                }
                Some(batch) => wave.push(batch),
            }
        }
        Ok(wave)
    }

    /// Runs the next wave; gives rows taken in.
    fn advance(&mut self, context: &ExecContext) -> Result<usize> {
        let results: Mutex<Vec<(u64, Vec<Batch>)>> = Mutex::new(Vec::new());
        let taken = AtomicUsize::new(0);
        if let Source::Scan(_) = &self.pipeline.source {
            let Pipeline {
                source,
                source_node,
                stages,
                ..
            } = &self.pipeline;
            let Source::Scan(scan) = source else {
                return Ok(0);
            };
            let (target, results, taken) = (self.target, &results, &taken);
            let drained = AtomicBool::new(false);
            let job = || {
                let mut chunk = Chunk::default();
                if !scan.fill(&mut chunk, target, context)? {
                    drained.store(true, Ordering::Relaxed);
                    return Ok(());
                }
                taken.fetch_add(chunk.len(), Ordering::Relaxed);
                let number = chunk.number;
                let batch = read(scan, &mut chunk, *source_node, stages, context)?;
                collect(stages, number, batch, context, results)
            };
            in_parallel((0..self.wave).map(|_| &job))?;
            self.ended = drained.into_inner();
        } else {
            let wave = self.pull(context)?;
            let stages = &self.pipeline.stages;
            let results = &results;
            taken.store(wave.iter().map(|batch| batch.rows).sum(), Ordering::Relaxed);
            in_parallel(
                (0u64..).zip(wave).map(|(number, batch)| {
                    move || collect(stages, number, batch, context, results)
                }),
            )?;
        }
        let mut results = results.into_inner();
        results.sort_by_key(|(number, _)| *number);
        for (_, batches) in results {
            self.ready.extend(batches);
        }
        Ok(taken.into_inner())
    }
}

fn collect(
    stages: &[(usize, Box<dyn Stage>)],
    number: u64,
    batch: Batch,
    context: &ExecContext,
    results: &Mutex<Vec<(u64, Vec<Batch>)>>,
) -> Result<()> {
    let mut batches = Vec::new();
    run_stages(stages, batch, context, &mut |batch| {
        batches.push(batch);
        Ok(())
    })?;
    results.lock().push((number, batches));
    Ok(())
}

impl BatchStream for PipelineStream {
    fn next(&mut self, context: &ExecContext) -> Result<Option<Batch>> {
        if !self.prepared {
            self.pipeline.prepare(context)?;
            self.prepared = true;
        }
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if self.ended {
                return Ok(None);
            }
            context.check()?;
            let taken = self.advance(context)?;
            // What a wave gives is kept until it is asked for. Where a join multiplies rows,
            // the next wave is to be smaller.
            let given: usize = self.ready.iter().map(|batch| batch.rows).sum();
            let limits = &self.pipeline.limits;
            if given > taken.saturating_mul(4) {
                let factor = given / taken.max(1);
                self.target = (limits.batch_rows / factor).max(1);
                self.wave = limits.threads();
            } else {
                self.target = self.target.saturating_mul(4).min(limits.batch_rows);
                self.wave = (self.wave * 2).min(limits.threads() * 2);
            }
        }
    }
}
