extension Comparison {
    /// Which point is the last of a history is each store's own idea: the latest for Databricks, that of the highest step for MLflow. Where two
    /// stores show other ones of equal histories, nothing differs.
    func besidesOtherLatest(_ differences: [Difference], _ here: Run, _ there: Run) async throws -> [Difference] {
        let keys = RunComparison.metrics(of: here)
        var rest: [Difference] = []
        for difference in differences {
            if difference.primaryValue != nil, difference.secondaryValue != nil, let key = keys[difference.field] {
                let (points, missing, extra) = try await compareHistory(key, here, there)
                if points > 0, missing + extra == 0 { continue }
            }
            rest.append(difference)
        }
        return rest
    }

    /// Points of one series on the primary, those of them that the secondary lacks, and those that it alone has.
    private func compareHistory(_ key: String, _ here: Run, _ there: Run) async throws -> (points: Int, missing: Int, extra: Int) {
        let bag = Locked(PointBag())
        let counts = Locked((points: 0, missing: 0))
        try await mirror.retrying {
            bag.withLock { $0 = PointBag() }
            counts.withLock { $0 = (0, 0) }
            do {
                try await mirror.secondary.history(of: there.id, metric: key) { points in bag.withLock { $0.add(points) } }
            } catch let error as StoreError where error.reason == .notFound {}
            try await mirror.primary.history(of: here.id, metric: key) { points in
                let missing = bag.withLock { bag in points.count { !bag.remove($0) } }
                counts.withLock { $0 = ($0.points + points.count, $0.missing + missing) }
            }
        }
        let (points, missing) = counts.withLock { $0 }
        return (points, missing, bag.withLock { $0.remaining })
    }

    /// Every point of every series, both ways.
    func compareHistories(_ here: Run, _ there: Run) async throws {
        for metric in here.latestMetrics {
            let (points, missing, extra) = try await compareHistory(metric.key, here, there)
            tally.compared("metric points", points)
            if missing + extra > 0 {
                let difference = Difference(
                    kind: .run, primary: here.id.rawValue, secondary: there.id.rawValue, field: "history:\(metric.key)",
                    primaryValue: "\(points) points, \(missing) not on the secondary",
                    secondaryValue: "\(points - missing + extra) points, \(extra) not on the primary")
                try await tally.note([difference], repair: .run(here.id))
            }
        }
    }
}
