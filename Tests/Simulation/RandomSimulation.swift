import Replication
import TestSupport

/// One random schedule: everything about it follows from the seed.
public struct RandomSimulation: Sendable {
    public let seed: UInt64
    public let planted: PlantedBug?

    /// Every death is a loss of power: `PowerLoss` must be installed.
    public let losesPower: Bool

    public init(seed: UInt64, planted: PlantedBug? = nil, losesPower: Bool = false) {
        self.seed = seed
        self.losesPower = losesPower
        self.planted = planted
    }

    /// - Parameter folder: for the state file; one simulation at a time.
    public func run(in folder: String, reach: Reach = Reach(), tell: (@Sendable (String) -> Void)? = nil) -> World.Outcome {
        var chance = Chance(seed: seed ^ 0x5eed)
        let path = "\(folder)/\(seed).db"
        let fates = RandomFates(seed: seed, reach: reach)
        let isPolling = chance.oneIn(5) && planted?.changes == nil
        let appendsByChance = chance.oneIn(4)
        let appends = appendsByChance || planted?.isOfAppendedPoints ?? false
        let isNarrow = appends && seed % 2 == 0
        var world = World(
            seed: seed, feed: isPolling ? .polling : .journal, readsDatabase: !isPolling && chance.oneIn(3), appendsPoints: appends,
            isNarrow: isNarrow, statePath: path, planted: planted)
        defer {
            StateTemplate.remove(path)
            Files.remove(path + ".lock")
        }
        world.losesPower = losesPower
        world.secondaryIsEdited = seed % 3 != 0
        let people = 1 + chance.below(3)
        let acts = 4 + chance.below(8)
        let earlier = chance.below(3)
        let aftermath = Int64(chance.below(15_000))
        let scheduler = world.scheduler
        if let tell {
            for store in [world.primary, world.secondary] {
                store.setFault { operation in
                    let verb = operation.isWrite ? "writes" : "reads "
                    tell("\(scheduler.now) ms  \(store.name) \(verb) \(operation)")
                    return nil
                }
            }
        }
        let losesState = chance.oneIn(10)
        let (primary, played) = (world.primary, world)
        var outcome = played.play(
            fates: fates, heal: { fates.heal() }, losesState: losesState,
            before: {
                if earlier == 2 { try await Workload(store: primary).everything(modelMetrics: !appends || isNarrow) }
                await Users(
                    primary, scheduler, seed: seed &* 31, label: "early", favouritesOf: seed, logsModelMetrics: !appends || isNarrow
                ).work(
                    earlier == 1 ? 6 : 0)
            },
            work: {
                await withTaskGroup(of: Void.self) { group in
                    for person in 0..<people {
                        group.addTask {
                            await Users(
                                primary, scheduler, seed: seed &+ UInt64(person) << 40, label: "user\(person)",
                                favouritesOf: seed, focus: fates.focus, logsModelMetrics: !appends || isNarrow,
                                pointsOfLongEnded: !isPolling
                            ).work(acts)
                        }
                    }
                }
                // What they did last meets its fate too.
                try await scheduler.sleep(milliseconds: aftermath)
            })
        if losesState { outcome.kind += ", loses its state" }
        return outcome
    }
}
