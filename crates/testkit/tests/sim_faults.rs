//! Each injected fault does what its description says, is counted, and replays.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may unwrap as tests do"
)]

use std::{io, path::Path, time::Duration};

use rustling_storage::{Clock, OpenMode, Vfs, VfsFile};
use rustling_testkit::sim::{Crash, CrashPolicy, Fault, FaultPlan, OperationKind, SimEnv, SimVfs};

const PATH: &str = "/f";

fn path() -> &'static Path {
    Path::new(PATH)
}

/// A disk with a synced file of four sectors: ones, twos, threes, fours.
fn disk() -> (SimVfs, std::sync::Arc<dyn VfsFile>) {
    let vfs = SimVfs::new(11);
    let file = vfs.open(path(), OpenMode::CreateNew).unwrap();
    for sector in 0..4u8 {
        file.write_all_at(&[sector + 1; 512], u64::from(sector) * 512)
            .unwrap();
    }
    file.sync_all().unwrap();
    vfs.sync_dir(Path::new("/")).unwrap();
    (vfs, file)
}

fn next(vfs: &SimVfs, fault: Fault) {
    vfs.set_faults(FaultPlan::new(5).at(vfs.operations(), fault));
}

fn durable(vfs: &SimVfs) -> Vec<u8> {
    vfs.crash(&Crash::power(CrashPolicy::DropAll, 0))
        .read(path())
        .unwrap()
}

fn live(vfs: &SimVfs) -> Vec<u8> {
    vfs.image().read(path()).unwrap()
}

#[test]
fn errors_come_with_the_systems_codes_and_without_effect() {
    let (vfs, file) = disk();
    let before = live(&vfs);
    let mut buf = [0; 512];
    next(&vfs, Fault::ReadError);
    assert_eq!(
        file.read_at(&mut buf, 0).unwrap_err().raw_os_error(),
        Some(5)
    );
    next(&vfs, Fault::WriteError);
    assert_eq!(file.write_at(&buf, 0).unwrap_err().raw_os_error(), Some(5));
    next(&vfs, Fault::NoSpace);
    assert_eq!(
        file.write_at(&buf, 0).unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    next(&vfs, Fault::MetadataError);
    assert!(vfs.open(Path::new("/new"), OpenMode::CreateNew).is_err());
    assert!(!vfs.exists(Path::new("/new")).unwrap());
    next(&vfs, Fault::Interrupted);
    file.read_exact_at(&mut buf, 0).unwrap();
    assert_eq!(buf, [1; 512], "an interrupted read is tried again");
    next(&vfs, Fault::IoError);
    assert!(file.set_len(1).is_err());
    assert_eq!(live(&vfs), before);
    let counts = vfs.fault_counts();
    assert_eq!(
        counts.of(Fault::WriteError),
        2,
        "the generic error counts as the specific one"
    );
    assert_eq!(counts.total(), 6);
}

#[test]
fn a_failed_sync_leaves_the_data_pending_or_lost_for_good() {
    let (vfs, file) = disk();
    file.write_all_at(&[9; 512], 0).unwrap();
    next(&vfs, Fault::SyncError);
    assert!(file.sync_data().is_err());
    assert_eq!(durable(&vfs)[0], 1);
    file.sync_data().unwrap();
    assert_eq!(durable(&vfs)[0], 9);

    file.write_all_at(&[8; 512], 0).unwrap();
    next(&vfs, Fault::SyncErrorThenClean);
    assert!(file.sync_data().is_err());
    file.sync_all().unwrap();
    assert_eq!(live(&vfs)[0], 8);
    assert_eq!(durable(&vfs)[0], 9, "the second sync had nothing to write");
    for policy in CrashPolicy::ALL {
        assert_eq!(
            vfs.crash(&Crash::power(policy, 1)).read(path()).unwrap()[0],
            9
        );
    }

    vfs.open(Path::new("/g"), OpenMode::CreateNew).unwrap();
    next(&vfs, Fault::DirectorySyncError);
    assert!(vfs.sync_dir(Path::new("/")).is_err());
    assert_eq!(
        vfs.crash(&Crash::power(CrashPolicy::DropAll, 0))
            .files()
            .len(),
        1
    );
}

#[test]
fn short_transfers_are_finished_by_the_loops_of_the_trait() {
    let (vfs, file) = disk();
    let mut buf = [0; 2048];
    vfs.set_faults(
        FaultPlan::new(1)
            .chance(0.7, Fault::ShortRead)
            .chance(0.7, Fault::ShortWrite),
    );
    file.read_exact_at(&mut buf, 0).unwrap();
    assert_eq!(buf[..], live(&vfs));
    let data: Vec<u8> = (0..2048u32).map(|i| i as u8).collect();
    file.write_all_at(&data, 100).unwrap();
    assert_eq!(live(&vfs)[100..], data);
    assert!(
        vfs.fault_counts().of(Fault::ShortRead) > 0 && vfs.fault_counts().of(Fault::ShortWrite) > 0
    );
}

#[test]
fn wrong_data_faults_change_what_they_say() {
    let mut buf = [0; 512];
    for seed in 0..20 {
        let (vfs, file) = disk();
        let strike = |fault| vfs.set_faults(FaultPlan::new(seed).at(vfs.operations(), fault));
        strike(Fault::BitFlip);
        file.read_exact_at(&mut buf, 0).unwrap();
        assert_eq!(buf.iter().map(|b| (b ^ 1).count_ones()).sum::<u32>(), 1);
        file.read_exact_at(&mut buf, 0).unwrap();
        assert_eq!(buf, [1; 512], "only this once");

        strike(Fault::MisdirectedRead);
        file.read_exact_at(&mut buf, 0).unwrap();
        assert!(buf.iter().all(|b| *b == buf[0]), "another whole sector");

        strike(Fault::ZeroedSector);
        file.read_exact_at(&mut buf, 512).unwrap();
        assert_eq!(buf, [0; 512]);
        assert_eq!(durable(&vfs)[512..1024], [0; 512], "for good");

        strike(Fault::LostWrite);
        file.write_all_at(&[7; 512], 0).unwrap();
        file.sync_all().unwrap();
        assert_eq!(live(&vfs)[0], 1);

        file.write_all_at(&[6; 512], 0).unwrap();
        file.sync_all().unwrap();
        strike(Fault::StaleRead);
        file.read_exact_at(&mut buf, 0).unwrap();
        assert_eq!(buf, [1; 512]);

        strike(Fault::MisdirectedWrite);
        file.write_all_at(&[5; 512], 0).unwrap();
        let bytes = live(&vfs);
        assert_eq!(bytes.iter().filter(|b| **b == 5).count(), 512);

        strike(Fault::BitFlip);
        file.write_all_at(&[0; 512], 1536).unwrap();
        assert_eq!(
            live(&vfs)[1536..]
                .iter()
                .map(|b| b.count_ones())
                .sum::<u32>(),
            1
        );

        strike(Fault::TornWrite);
        assert!(file.write_all_at(&[0xaa; 2048], 0).is_err());
        let torn = live(&vfs)
            .chunks(512)
            .filter(|sector| sector.iter().all(|b| *b == 0xaa))
            .count();
        assert!(torn <= 4);

        strike(Fault::GarbageExtension);
        assert!(file.len().unwrap() > 2048);
        strike(Fault::Truncation);
        let before = live(&vfs).len();
        assert!(file.len().unwrap() < before as u64);
    }
}

#[test]
fn lost_names_come_back_or_never_arrive() {
    let (vfs, _file) = disk();
    let root = Path::new("/");
    next(&vfs, Fault::RenameLoss);
    vfs.rename(path(), Path::new("/g")).unwrap();
    vfs.sync_dir(root).unwrap();
    assert!(vfs.exists(Path::new("/g")).unwrap());
    let image = vfs.crash(&Crash::power(CrashPolicy::KeepAll, 0));
    assert_eq!(image.files()[0].0, path());

    next(&vfs, Fault::UnlinkLoss);
    vfs.remove_file(Path::new("/g")).unwrap();
    vfs.sync_dir(root).unwrap();
    assert!(vfs.image().files().is_empty());
    assert_eq!(
        vfs.crash(&Crash::power(CrashPolicy::KeepAll, 0))
            .files()
            .len(),
        1
    );
}

#[test]
fn time_faults_move_the_clocks() {
    let world = SimEnv::new(1);
    let clock = &world.clock;
    let (now, wall) = (clock.now(), clock.wall_clock_micros());
    world.vfs.exists(path()).unwrap();
    assert!(clock.now() > now && clock.now() - now < Duration::from_millis(1));
    next(&world.vfs, Fault::Hang);
    world.vfs.exists(path()).unwrap();
    assert!(clock.now() - now > Duration::from_millis(100));
    next(&world.vfs, Fault::ClockJump);
    let before = clock.now();
    world.vfs.exists(path()).unwrap();
    assert!(
        clock.now() - before < Duration::from_millis(1),
        "monotonic time does not jump"
    );
    assert!((clock.wall_clock_micros() - wall).abs() > 1_000_000);
    let slept = clock.now();
    clock.sleep(Duration::from_secs(3600));
    assert_eq!(clock.now() - slept, Duration::from_secs(3600));
}

#[test]
fn a_killed_process_does_nothing_more() {
    let (vfs, file) = disk();
    let before = live(&vfs);
    next(&vfs, Fault::Kill);
    assert!(file.write_at(&[9], 0).is_err());
    assert!(file.sync_all().is_err());
    assert!(vfs.exists(path()).is_err());
    let restarted = vfs.restart_process();
    assert_eq!(live(&restarted), before);
    assert!(restarted.exists(path()).unwrap());
}

#[test]
fn a_full_disk_refuses_new_blocks_and_keeps_reserved_ones() {
    let vfs = SimVfs::new(1);
    vfs.set_capacity(Some(10 * 4096));
    let file = vfs.open(path(), OpenMode::CreateNew).unwrap();
    file.allocate(8 * 4096).unwrap();
    assert_eq!(
        file.allocate(11 * 4096).unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    let other = vfs.open(Path::new("/g"), OpenMode::CreateNew).unwrap();
    other.write_all_at(&[1; 8192], 0).unwrap();
    assert_eq!(
        other.write_all_at(&[1; 1], 8192).unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    file.write_all_at(&[1; 8 * 4096], 0).unwrap();
    drop(other);
    vfs.remove_file(Path::new("/g")).unwrap();
    vfs.sync_dir(Path::new("/")).unwrap();
    assert_eq!(vfs.used(), 8 * 4096);
    file.write_all_at(&[1; 8192], 8 * 4096).unwrap();
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let run = |seed: u64| {
        let vfs = SimVfs::new(seed);
        vfs.set_faults(
            FaultPlan::new(seed)
                .chance(0.1, Fault::ShortWrite)
                .chance(0.1, Fault::BitFlip)
                .chance(0.05, Fault::IoError)
                .chance(0.05, Fault::TornWrite)
                .on_kind(OperationKind::Write),
        );
        let mut rng = fastrand::Rng::with_seed(seed);
        let Ok(file) = vfs.open(path(), OpenMode::CreateNew) else {
            return (0, vfs.fault_counts());
        };
        for _ in 0..200 {
            let data = vec![rng.u8(..); rng.usize(1..3000)];
            let _ = match rng.u8(..3) {
                0 => file.write_at(&data, rng.u64(..10_000)).map(|_| ()),
                1 => file.read_at(&mut [0; 100], rng.u64(..10_000)).map(|_| ()),
                _ => file.sync_data(),
            };
        }
        (vfs.trace_hash(), vfs.fault_counts())
    };
    let first: Vec<_> = (0..10).map(run).collect();
    assert_eq!(first, (0..10).map(run).collect::<Vec<_>>());
    let mut hashes: Vec<u64> = first.iter().map(|(hash, _)| *hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert!(hashes.len() >= 9, "different seeds differ");
}
