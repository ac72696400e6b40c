/// The smallest list of writes that makes the secondary's logged model show the primary's. Files are planned on their own.
public struct LoggedModelPlan: Sendable, Hashable {
    public var tags: [Tag] = []
    public var deletedTags: [String] = []
    public var params: [Param] = []
    /// By the primary's run: the caller knows its counterpart.
    public var metrics: [ModelMetric] = []
    /// Set when the status differs: written after the files, so that a model is not ready before it is whole.
    public var status: LoggedModel.Status?
    public var conflicts: [Conflict] = []
    public var conversions: [String] = []
    /// Fields whose values would be cut.
    public var tooLong: [String] = []
    public var fields = Base()

    /// - Parameter runs: the primary's runs to the secondary's, for the metrics.
    public init(
        _ model: LoggedModel, _ map: References.Map, stamp: Stamp, base: Base?, actual: LoggedModel, dialect: Dialect,
        repairs: Bool = false, inDoubt: Set<FieldDigest> = [], rules: ThingRules = .standard
    ) {
        let key = EntityKey.loggedModel(model.id)
        let desired = RunImage.rewritten(model.tags, map) + stamp.tags(key)
        let plan = TagPlan(
            desired, base: base, actual: actual.tags, key: key, maximumLength: dialect.experimentTagValueLength,
            deletesUnknown: repairs, inDoubt: inDoubt, rules: rules, fields: &fields)
        tags = plan.set
        deletedTags = plan.delete
        conflicts += plan.conflicts
        tooLong = plan.tooLong.map { "tag:\($0)" }

        let present = Dictionary(actual.params.map { (FieldDigest($0.key), $0.value) }, uniquingKeysWith: { first, _ in first })
        for param in model.params {
            fields[.param(param.key)] = FieldDigest(param.value)
            switch present[FieldDigest(param.key)] {
            case nil: params.append(param)
            case param.value: break
            default:
                conflicts.append(.otherParam(key, param.key, rules.decision(.param, Base.Field.param(param.key).description)))
            }
        }
        let there = Set(actual.metrics.map { Self.fingerprint($0, run: $0.run) })
        for metric in model.metrics {
            guard let run = map.runs[metric.run] else {
                conversions.append("model_metric_without_run:\(metric.key)")
                continue
            }
            if !there.contains(Self.fingerprint(metric, run: run)) { metrics.append(metric) }
        }
        let field = Base.Field("status")
        fields[field] = FieldDigest(model.status.rawValue)
        if model.status != actual.status {
            // A status that is final cannot be taken back.
            if model.status == .ready || model.status == .uploadFailed {
                status = model.status
            } else {
                conversions.append("status:\(model.status.rawValue)")
            }
        }
    }

    private static func fingerprint(_ metric: ModelMetric, run: RunID) -> String {
        let value = metric.point.value.isNaN ? "nan" : "\(metric.point.value)"
        return [
            metric.key, value, "\(metric.point.timestamp)", "\(metric.point.step)", run.rawValue, metric.datasetName ?? "",
            metric.datasetDigest ?? "",
        ]
        .joined(separator: "\u{0}")
    }
}
