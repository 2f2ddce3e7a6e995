// Starts the instance. Its name is saved for post.js before anything is created.
'use strict'

const { appendFileSync } = require('node:fs')
const { report, run } = require('./gpuctl.js')

function input (name) {
  return (process.env[`INPUT_${name.toUpperCase()}`] || '').trim()
}

async function main () {
  if (process.env.RUNNER_OS === 'Windows') {
    report('error', 'gpuctl does not run on Windows: use a job with runs-on: ubuntu-latest')
    return 2
  }
  const name = input('name') || `ci-${process.env.GITHUB_RUN_ID}`
  const stateId = input('state-id')
  if (!/^[a-z0-9-]{1,40}$/.test(name) || !/^[a-z0-9-]{8,40}$/.test(stateId)) {
    report('error', 'name must be 1 to 40, and state-id 8 to 40 characters of a-z0-9-')
    return 2
  }
  appendFileSync(process.env.GITHUB_STATE, `name=${name}\nstateId=${stateId}\n`)
  const options = input('options').split('\n').map((word) => word.trim()).filter((word) => word)
  const words = ['provision', input('type'), '--region', input('region'), '--ttl', input('ttl') || '60', '--name', name]
  const { code, output } = await run([...words, '-o', 'json', ...options], { GPUCTL_STATE_ID: stateId }, 'pipe')
  let reply = {}
  try {
    reply = JSON.parse(output)
  } catch {
    if (code === 0) report('error', 'gpuctl printed no JSON document')
    return code || 1
  }
  if (code !== 0) {
    report('error', `${reply.error.message} (${reply.error.hint || 'no hint'})`)
    return code
  }
  const { id, publicIp } = reply.instance
  appendFileSync(process.env.GITHUB_OUTPUT, `id=${id}\nname=${name}\npublic-ip=${publicIp || ''}\n`)
  return 0
}

main().then((code) => { process.exitCode = code })
