// Answers requests by iam-simulate, which is in the folder of the first argument.
//
// A line of standard input has policies by name, requests, and whether they were checked before; a line of standard output has an answer for each request: "allowed",
// "denied", or what is wrong with the request or a policy.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const { anonymousPrincipal, runSimulation, runUnsafeSimulation } = createRequire(join(process.argv[2], 'package.json'))('@cloud-copilot/iam-simulate')

const everything = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] }
// The caller's own policies allow everything. They do not suffice for another account's resource, nor for a role or a key: the policy
// of the resource then allows it too.
function suffices(request) {
  return request.principal.split(':')[4] === request.owner && !/^(sts|kms):/.test(request.action)
}

function open(request) {
  return { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal: '*', Action: request.action, Resource: request.resource }] }
}
const full = { name: 'FullAWSAccess', policy: everything }

// What is attached to the account; the levels above have FullAWSAccess alone.
function levels(names, policies, first) {
  return [{ orgIdentifier: 'account', policies: [...first, ...names.map((name) => ({ name, policy: policies[name] }))] }]
}

async function answer(request, policies, quick) {
  const anonymous = request.principal === 'anonymous'
  const identity = request.principal.startsWith('arn:')
  const simulation = {
    request: {
      principal: anonymous ? anonymousPrincipal : request.principal,
      action: request.action,
      resource: { resource: request.resource, accountId: request.owner },
      contextVariables: request.context
    },
    identityPolicies: identity ? [{ name: 'everything', policy: everything }] : [],
    serviceControlPolicies: identity && request.scps ? levels(request.scps, policies, [full]) : [],
    resourceControlPolicies: request.rcps ? levels(request.rcps, policies, []) : [],
    resourcePolicy: suffices(request) ? undefined : open(request)
  }
  // Some resources of AWS itself have ARNs that the service authorization reference does not have. What was checked once need not be
  // checked for every variant of a policy.
  if ((request.unknown_arn || quick) && !simulation.resourcePolicy) {
    for (const level of simulation.resourceControlPolicies) level.policies.unshift({ ...full, name: 'RCPFullAWSAccess' })
    return runUnsafeSimulation(simulation, {}) === 'Allowed' ? 'allowed' : 'denied'
  }
  const result = await runSimulation(simulation, {})
  if (result.resultType === 'error') return JSON.stringify(result.errors)
  const results = result.resultType === 'single' ? [result.result] : result.results
  const ignored = results.flatMap((one) => one.ignoredContextKeys ?? [])
  if (ignored.length > 0) return `ignored: ${ignored.join(' ')}`
  return result.overallResult === 'Allowed' ? 'allowed' : result.overallResult.endsWith('Denied') ? 'denied' : result.overallResult
}

for await (const line of createInterface({ input: process.stdin })) {
  const { policies, requests, quick } = JSON.parse(line)
  const answers = []
  for (const request of requests) answers.push(await answer(request, policies, quick))
  process.stdout.write(JSON.stringify(answers) + '\n')
}
