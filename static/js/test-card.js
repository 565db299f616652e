// The test card's page: shows what is to be paid and sends what the buyer chose.

const session = new URLSearchParams(location.search).get('session') ?? '';
const address = `/api/payments/test-card/${encodeURIComponent(session)}`;
const [what, state, choices] = ['what', 'state', 'choices'].map((id) => document.getElementById(id));

const SENTENCES = {
  created: 'Waiting for your choice.',
  authorized: 'The card is authorized; the confirmation comes soon.',
  captured: 'Paid. Your seats are booked; you can close this page.',
  failed: 'The card was declined. Your seats are free again.',
  expired: 'The time to pay is over.',
  refund_due: 'Paid too late. The money goes back.',
  refunded: 'The money went back.',
  stuck: 'Something is wrong with this payment; the box office looks at it.',
};

function money(amount, currency) {
  const format = new Intl.NumberFormat(undefined, { style: 'currency', currency });
  return format.format(amount / 10 ** format.resolvedOptions().maximumFractionDigits);
}

async function ask(options) {
  const answer = await fetch(address, options);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail);
  return body;
}

function show(payment) {
  what.textContent = `${payment.event_name}: ${money(payment.amount, payment.currency)}`;
  state.textContent = SENTENCES[payment.status] ?? payment.status;
  choices.hidden = payment.status !== 'created';
}

function fail(error) {
  if (what.textContent === 'Loading…') what.textContent = '';
  state.textContent = error.message;
  choices.hidden = true;
}

for (const button of choices.querySelectorAll('button')) {
  button.addEventListener('click', () => {
    choices.hidden = true;
    const body = JSON.stringify({ outcome: button.dataset.outcome });
    ask({ method: 'POST', headers: { 'content-type': 'application/json' }, body }).then((payment) => {
      show(payment);
      choices.hidden = true;
      if (payment.status === 'created') state.textContent = 'Sent. The confirmation comes later.';
    }).catch(fail);
  });
}

ask().then(show).catch(fail);
