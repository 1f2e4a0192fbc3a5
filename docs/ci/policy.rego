# Rules of your own over a plan, for conftest or OPA. A plan as JSON is all they need:
#
#     tunedmodels plan --format json > plan.json
#     conftest test plan.json --policy docs/ci
#
# The shape of the plan: tunedmodels schema plan. What the Project manifest can say by itself
# (spec.policy: base models, providers, names, budgets, protected names, days without applies)
# needs no Rego.
package main

import rego.v1

# A version that answers for its name goes only with another one in its place.
deny contains message if {
	some change in input.changes
	change.action == "delete"
	change.before.serves
	message := sprintf("%s: %s serves now; deleting it leaves nothing", [change.name, change.before.modelId])
}

# Nobody trains on fewer than 20 examples.
deny contains message if {
	some change in input.changes
	change.action in {"create", "replace", "retry"}
	change.after.examples < 20
	message := sprintf("%s: only %d examples", [change.name, change.after.examples])
}

# At most three trainings in one pull request.
deny contains message if {
	trained := [change.name | some change in input.changes; change.action in {"create", "replace", "retry"}]
	count(trained) > 3
	message := sprintf("%d models would be trained at once: %s", [count(trained), concat(", ", trained)])
}

# What was changed outside deserves a word in the pull request.
warn contains message if {
	some change in input.changes
	change.drift
	message := sprintf("%s: %s", [change.name, change.reason])
}
