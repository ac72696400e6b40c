/// A run as the secondary should show it: the primary's run in the secondary's ids, with its stamp.
public struct RunImage: Sendable, Hashable {
    public var experiment: ExperimentID
    public var name: String
    public var userID: String
    public var status: Run.Status
    public var startTime: Int64
    public var endTime: Int64?
    public var lifecycle: Lifecycle
    public var tags: [Tag]
    public var params: [Param]
    public var datasets: [DatasetInput]
    public var modelInputs: [LoggedModelID]
    public var modelOutputs: [ModelOutput]
    /// Model inputs and outputs without a counterpart, most often deleted on the primary: their ids lead nowhere on either side.
    public var missingModels: [LoggedModelID] = []

    /// - Parameter map: every id that the run refers to and that has a counterpart.
    public init(_ run: Run, in experiment: ExperimentID, _ map: References.Map, stamp: Stamp) {
        self.experiment = experiment
        name = run.name
        userID = run.userID
        status = run.status
        startTime = run.startTime
        endTime = run.endTime
        lifecycle = run.lifecycle
        params = run.params
        datasets = run.datasets
        modelInputs = []
        modelOutputs = []
        tags = Self.rewritten(run.tags, map)
        tags += stamp.tags(.run(run.id))
        for model in run.modelInputs {
            modelInputs.append(map.models[model] ?? model)
            if map.models[model] == nil { missingModels.append(model) }
        }
        for output in run.modelOutputs {
            modelOutputs.append(ModelOutput(model: map.models[output.model] ?? output.model, step: output.step))
            if map.models[output.model] == nil { missingModels.append(output.model) }
        }
    }

    /// Every tag but the primary's own stamps, ids rewritten; a rewritten one is followed by its original.
    static func rewritten(_ tags: [Tag], _ map: References.Map) -> [Tag] {
        var result: [Tag] = []
        for tag in tags where !tag.key.hasPrefix(Stamp.prefix) {
            let new = References.rewrite(tag, map)
            result.append(new)
            if new != tag { result.append(Tag(Stamp.originalKey(tag.key), tag.value)) }
        }
        return result
    }
}
