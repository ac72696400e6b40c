public import Hashing

/// Digests of whole records as the primary shows them: equal digests, equal records. Lists that have no order are sorted first.
extension SHA256Hasher {
    fileprivate mutating func add(_ text: String) {
        update(UInt64(text.utf8.count))
        update(text)
    }
    fileprivate mutating func add(_ text: String?) {
        update(text == nil ? 0 : 1)
        if let text { add(text) }
    }
    fileprivate mutating func add(_ number: Int64?) {
        update(number == nil ? 0 : 1)
        update(UInt64(bitPattern: number ?? 0))
    }
    fileprivate mutating func add(_ point: MetricPoint) {
        update(point.value.isNaN ? 0x7ff8_0000_0000_0000 : point.value.bitPattern)
        update(UInt64(bitPattern: point.timestamp))
        update(UInt64(bitPattern: point.step))
    }
    fileprivate mutating func add(_ tags: [Tag]) {
        update(UInt64(tags.count))
        for tag in tags.sorted(by: { ($0.key, $0.value) < ($1.key, $1.value) }) {
            add(tag.key)
            add(tag.value)
        }
    }
    fileprivate mutating func add(_ params: [Param]) { add(params.map { Tag($0.key, $0.value) }) }
    /// Nothing where there are none: a record without them has the digest that it had before they were carried.
    fileprivate mutating func add(_ unknown: [UnknownField]) {
        for field in unknown {
            add(field.path)
            add(field.json)
        }
    }
}

extension Experiment {
    public var recordDigest: SHA256Digest {
        var hasher = SHA256Hasher()
        hasher.add(name)
        hasher.add(artifactLocation)
        hasher.add(lifecycle.rawValue)
        hasher.add(creationTime)
        hasher.add(tags)
        return hasher.finish()
    }
}

extension Run {
    /// Without the model inputs: a listing of runs may not show them.
    public var recordDigest: SHA256Digest {
        var hasher = SHA256Hasher()
        for text in [experiment.rawValue, name, userID, status.rawValue, lifecycle.rawValue, artifactURI] { hasher.add(text) }
        hasher.add(startTime)
        hasher.add(endTime)
        hasher.add(params)
        hasher.add(tags)
        for metric in latestMetrics.sorted(by: { $0.key < $1.key }) {
            hasher.add(metric.key)
            hasher.add(metric.point)
        }
        for dataset in datasets.sorted(by: { ($0.name, $0.digest) < ($1.name, $1.digest) }) {
            for text in [dataset.name, dataset.digest, dataset.sourceType, dataset.source] { hasher.add(text) }
            hasher.add(dataset.schema)
            hasher.add(dataset.profile)
            hasher.add(dataset.tags)
        }
        for output in modelOutputs.sorted(by: { ($0.model, $0.step) < ($1.model, $1.step) }) {
            hasher.add(output.model.rawValue)
            hasher.add(output.step)
        }
        hasher.add(unknown)
        return hasher.finish()
    }
}

extension LoggedModel {
    public var recordDigest: SHA256Digest {
        var hasher = SHA256Hasher()
        for text in [experiment.rawValue, name, status.rawValue, artifactURI] { hasher.add(text) }
        hasher.add(modelType)
        hasher.add(sourceRun?.rawValue)
        hasher.add(statusMessage)
        hasher.add(params)
        hasher.add(tags)
        let sorted = metrics.sorted {
            ($0.key, $0.run, $0.point.timestamp, $0.point.step) < ($1.key, $1.run, $1.point.timestamp, $1.point.step)
        }
        for metric in sorted {
            hasher.add(metric.key)
            hasher.add(metric.run.rawValue)
            hasher.add(metric.point)
            hasher.add(metric.datasetName)
            hasher.add(metric.datasetDigest)
        }
        hasher.add(unknown)
        return hasher.finish()
    }
}

extension RegisteredModel {
    /// Of the model and all its versions.
    public func recordDigest(with versions: [ModelVersion]) -> SHA256Digest {
        var hasher = SHA256Hasher()
        hasher.add(name.rawValue)
        hasher.add(description)
        hasher.add(tags)
        for (alias, number) in aliases.sorted(by: { $0.key < $1.key }) {
            hasher.add(alias)
            hasher.add(Int64(number))
        }
        for version in versions.sorted(by: { $0.number < $1.number }) {
            hasher.add(Int64(version.number))
            for text in [version.source, version.stage, version.description, version.status] { hasher.add(text) }
            hasher.add(version.run?.rawValue)
            hasher.add(version.runLink)
            hasher.add(version.tags)
        }
        return hasher.finish()
    }
}
