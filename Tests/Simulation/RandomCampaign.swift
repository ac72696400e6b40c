import Replication
import TestSupport

/// Many seeds, and what came of them.
public struct RandomCampaign: Sendable {
    /// In order.
    public var failed: [UInt64] = []
    public var steps = 0
    public var lives = 0
    public var seconds = 0.0
    public let reach = Reach()

    /// - Parameter tell: called for each seed that failed, one at a time.
    public static func run(
        _ count: Int, from first: UInt64, losesPower: Bool = false,
        tell: @escaping @Sendable (UInt64, World.Outcome) -> Void = { _, _ in }
    ) -> RandomCampaign {
        let campaign = Locked(RandomCampaign())
        let start = ContinuousClock.now
        Campaign.forEach(count) { index, folder in
            let seed = first + UInt64(index)
            let reach = Reach()
            let outcome = RandomSimulation(seed: seed, losesPower: losesPower).run(in: folder, reach: reach)
            campaign.withLock { campaign in
                campaign.steps += outcome.steps
                campaign.lives += outcome.lives
                campaign.reach.add(reach)
                guard !outcome.findings.isEmpty else { return }
                campaign.failed.append(seed)
                tell(seed, outcome)
            }
        }
        return campaign.withLock { campaign in
            campaign.seconds = (ContinuousClock.now - start) / .seconds(1)
            campaign.failed.sort()
            return campaign
        }
    }
}
