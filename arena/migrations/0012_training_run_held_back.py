from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("arena", "0011_job_done_before")]

    operations = [
        migrations.AddField(
            model_name="trainingrun",
            name="held_back",
            field=models.BooleanField(
                default=False, help_text="Its result becomes a contestant only once a lead promotes it."
            ),
        ),
    ]
