import Replication
import TestSupport

/// One random schedule: everything about it follows from the seed.
public struct RandomSimulation: Sendable {
    public let seed: UInt64
    public let planted: PlantedBug?

    public init(seed: UInt64, planted: PlantedBug? = nil) {
        self.seed = seed
        self.planted = planted
    }

    /// - Parameter folder: for the state file; one simulation at a time.
    public func run(in folder: String, reach: Reach = Reach(), tell: (@Sendable (String) -> Void)? = nil) -> World.Outcome {
        var chance = Chance(seed: seed ^ 0x5eed)
        let path = "\(folder)/\(seed).db"
        let isPolling = chance.oneIn(5) && planted?.changes == nil
        let appends = chance.oneIn(4)
        let world = World(
            seed: seed, feed: isPolling ? .polling : .journal, appendsPoints: appends, statePath: path, planted: planted)
        defer {
            StateTemplate.remove(path)
            Files.remove(path + ".lock")
        }
        let fates = RandomFates(seed: seed, reach: reach)
        let people = 1 + chance.below(3)
        let acts = 4 + chance.below(8)
        let earlier = chance.oneIn(2) ? 6 : 0
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
        var outcome = world.play(
            fates: fates, heal: { fates.heal() }, losesState: losesState,
            before: {
                await Users(world.primary, scheduler, seed: seed &* 31, label: "early", logsModelMetrics: !appends).work(earlier)
            },
            work: {
                await withTaskGroup(of: Void.self) { group in
                    for person in 0..<people {
                        group.addTask {
                            await Users(
                                world.primary, scheduler, seed: seed &+ UInt64(person) << 40, label: "user\(person)",
                                logsModelMetrics: !appends
                            ).work(acts)
                        }
                    }
                }
            })
        if losesState { outcome.kind += ", loses its state" }
        return outcome
    }
}
